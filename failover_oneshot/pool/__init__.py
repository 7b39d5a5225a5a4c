"""Sessions: restarting them, keeping the pool at its size, and typing into their prompts."""
