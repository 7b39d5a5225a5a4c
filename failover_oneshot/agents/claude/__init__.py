"""Claude Code: its records, its processes and its screen."""
