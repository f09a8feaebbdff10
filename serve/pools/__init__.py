"""Work handed to processes that Ray keeps."""
