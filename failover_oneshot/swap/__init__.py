"""The swap: its journal and its steps."""
