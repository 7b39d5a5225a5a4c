"""What is remembered between checks: the values, how they change, and the file."""
