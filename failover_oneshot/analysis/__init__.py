"""Explains, records, replays and simulates checks."""
