"""What a check reports to people and to monitoring systems."""
