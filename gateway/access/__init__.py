"""Who asks, what they may do, how often, and how much of it at once."""
