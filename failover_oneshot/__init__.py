"""A one-shot quota failover for fleets of coding agents in tmux."""

__version__ = "0.1.0"
