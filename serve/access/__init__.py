"""Who may call, and how much of it is taken on."""
