"""Where requests, results and training data are kept: one contract on a local folder or any S3."""
