"""What comes in, piece by piece: forms, pictures, and the requests they become."""
