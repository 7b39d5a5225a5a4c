"""The sessions: restarts, the size of the pool, and typing."""
