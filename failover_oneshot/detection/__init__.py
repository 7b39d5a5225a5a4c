"""What the observations mean: limit hits and their resets. Pure."""
