"""tmux: its formats, and the only module that runs it."""
