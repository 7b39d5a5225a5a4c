"""A task's text as it is pasted, and a task's name as it is printed. Pure."""

import re
from typing import Final

_CONTROLS: Final = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")


def decode(data: bytes) -> str:
    """A file's text as it is pasted: UTF-8, line ends as LF, no control character but line break and tab.

    Without Escape among them nobody can end the bracketed paste and press keys. Raises ValueError with the reason when
    it is no text, or nothing is left.
    """
    if b"\0" in data:
        raise ValueError("it is not a text: it holds NUL bytes")
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError as error:
        raise ValueError(f"it is not a text in UTF-8 (byte {error.start})") from None
    text = _CONTROLS.sub("", text.removeprefix("\ufeff").replace("\r\n", "\n").replace("\r", "\n"))
    if not text.strip():
        raise ValueError("it is empty")
    return text


def printable(name: str) -> str:
    """A file's name as it may be printed and stored."""
    clean = name.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in clean)
