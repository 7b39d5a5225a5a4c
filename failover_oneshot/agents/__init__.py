"""The agents: programs that run in sessions, each behind the same protocol."""
