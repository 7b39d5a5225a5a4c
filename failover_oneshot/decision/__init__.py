"""What a check does and why. Pure."""
