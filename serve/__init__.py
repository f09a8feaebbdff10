"""The Ray Serve application: run from a checkout or a container, not part of the wheel."""
