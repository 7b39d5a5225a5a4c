"""Explaining, recording, replaying and simulating checks."""
