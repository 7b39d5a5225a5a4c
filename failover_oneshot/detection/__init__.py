"""Turns readings into findings: which hits count, and when they reset. Pure."""
