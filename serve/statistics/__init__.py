"""Who used what, when and how long: noted, counted and given as tables."""
