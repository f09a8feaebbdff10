"""What `quality` rests on: features of a picture, and one small function for each warning."""
