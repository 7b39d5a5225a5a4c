"""The systemd user units and the programs that manage them."""
