"""How good a result is: segmentations against a reference, and one method of measuring against another."""
