"""What was asked before: searched, compared, and followed over time."""
