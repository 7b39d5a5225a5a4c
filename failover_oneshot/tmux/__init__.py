"""tmux: the only module that runs it, and its formats."""
