"""The text of a task as it is pasted, and the name of a task as it is printed. Pure."""

import re
from typing import Final

_CONTROLS: Final = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")


def decode(data: bytes) -> str:
    """The text to paste, decoded from a file: UTF-8, LF line ends, no control characters except line break and tab.

    Removing Escape prevents a text from ending the bracketed paste and pressing keys. Raises ValueError with the reason
    when the data is not text, or when nothing is left.
    """
    if b"\0" in data:
        raise ValueError("the text contains NUL bytes")
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError as error:
        raise ValueError(f"the text is not valid UTF-8 (byte {error.start})") from None
    text = _CONTROLS.sub("", text.removeprefix("\ufeff").replace("\r\n", "\n").replace("\r", "\n"))
    if not text.strip():
        raise ValueError("the text is empty")
    return text


def printable(name: str) -> str:
    """A file name that is safe to print and store; other characters are escaped."""
    clean = name.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in clean)
