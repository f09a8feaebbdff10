"""Correcting by hand: labels under edits, their outlines and numbers, and the canvas that shows them."""
