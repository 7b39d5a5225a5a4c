"""What people and their systems get to know after a check."""
