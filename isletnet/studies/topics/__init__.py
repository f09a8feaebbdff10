"""What single studies compute and draw; their notebooks are in ``studies/``."""
