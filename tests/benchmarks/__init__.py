"""Baselines, comparisons and speed: figures about isletnet that tests do not need."""
