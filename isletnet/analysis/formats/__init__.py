"""File formats: bytes to samples, one room per format. Only `decode` uses them."""
