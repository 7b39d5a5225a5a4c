"""Method `claude`: what Claude Code keeps about its login, and how a swap replaces it."""
