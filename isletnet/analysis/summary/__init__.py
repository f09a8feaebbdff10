"""What `summarise` is made of: pooling, intervals, size classes, preparation."""
