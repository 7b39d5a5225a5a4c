"""Counts and lists as people write them: `1 session`, `2 sessions`; `a, b and 3 more`."""

from collections.abc import Sequence


def plural(count: int, noun: str) -> str:
    """The count and its noun, with an s unless there is exactly one."""
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"


def up_to(most: int, texts: Sequence[str]) -> str:
    """The texts separated by commas; of more than ``most`` the first ones, and how many are left."""
    more = f" and {len(texts) - most} more" if len(texts) > most else ""
    return f"{', '.join(texts[:most])}{more}"
