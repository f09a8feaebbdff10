"""What the pruner does to the store, and what the monitor looks at."""
