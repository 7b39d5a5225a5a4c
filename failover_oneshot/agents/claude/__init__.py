"""Claude Code: its screen, its prompt, its processes and its records."""
