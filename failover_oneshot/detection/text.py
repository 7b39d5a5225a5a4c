"""Normalizes messages for comparison. Pure."""

from typing import Final

_PLAIN: Final = (
    ("’", "'"), ("‘", "'"), ("ʼ", "'"), ("∙", "·"), ("•", "·"), ("‧", "·"),
    (" - ", " · "), (" – ", " · "), (" — ", " · "),
)  # fmt: skip


def normalise(text: str) -> str:
    """The text in lower case, with plain apostrophes, `·` for every separator, and single spaces."""
    text = " ".join(text.lower().split())
    for printed, plain in _PLAIN:  # many times faster than str.translate on a long text
        text = text.replace(printed, plain)
    return text
