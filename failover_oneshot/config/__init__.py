"""The configuration: its definition, its loader, and the errors of a wrong file."""
