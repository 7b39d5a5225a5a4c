"""The form in which messages are compared. Pure."""

from typing import Final

_PLAIN: Final = (
    ("’", "'"), ("‘", "'"), ("ʼ", "'"), ("∙", "·"), ("•", "·"), ("‧", "·"),
    (" - ", " · "), (" – ", " · "), (" — ", " · "),
)  # fmt: skip


def normalise(text: str) -> str:
    """Lower case, plain apostrophes, `·` for every separator, single spaces."""
    text = " ".join(text.lower().split())
    for printed, plain in _PLAIN:  # many times faster than str.translate on a long text
        text = text.replace(printed, plain)
    return text
