"""Geometry of single masks, for `label` and `measure`."""
