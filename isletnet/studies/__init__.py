"""Studies: notebooks with declared parameters, run strictly, every run kept; alone or as a pipeline."""

from isletnet.studies.study import Study

__all__ = ["Study"]
