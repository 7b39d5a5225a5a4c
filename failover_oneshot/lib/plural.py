"""Counts as people write them: `1 session`, `2 sessions`."""


def plural(count: int, noun: str) -> str:
    """The count and its noun, with an s unless there is exactly one."""
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"
