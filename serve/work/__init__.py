"""The work on requests, without Ray: what a worker does for one image and for all of them, and who does what when."""
