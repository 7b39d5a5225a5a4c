"""The swap: its journal, and the steps that carry it out."""
