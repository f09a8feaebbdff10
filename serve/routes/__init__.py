"""The routes, by what they are about; none imports another."""
