"""How an account becomes the active one: one module for each swap method."""
