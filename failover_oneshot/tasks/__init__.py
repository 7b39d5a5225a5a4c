"""The queue of tasks and how they reach idle sessions."""
