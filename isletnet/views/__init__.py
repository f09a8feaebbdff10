"""Pictures of a result: the overlay on the micrograph, the size histogram, the notebook page."""
