"""One-shot account failover for coding agents in tmux."""

__version__ = "0.1.0"
