"""A request: the form for its images, how far it is, and what was found in them."""
