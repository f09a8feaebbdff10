"""What studies read: analysed images by either door, references, and the truth of pictures."""
