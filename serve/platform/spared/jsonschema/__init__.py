"""Stands before jsonschema, which Ray imports into each of its processes for settings that nobody here has."""

from isletnet_spared import load_when_used  # type: ignore[import-not-found]

load_when_used(__name__)
