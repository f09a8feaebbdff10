"""Make, validate and release networks."""
