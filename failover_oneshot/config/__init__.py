"""The configuration: its definition, the reader of YAML and the list of every problem."""
