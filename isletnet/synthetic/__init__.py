"""Synthetic micrographs with exact truth: the training ground and the measuring stick."""
