"""A task's text: as it is pasted, and as a screen shows it. Pure."""

import re
from collections.abc import Sequence
from typing import Final
from zlib import crc32

from failover_oneshot.detection.screen import PLACEHOLDERS, Block, Mark, Screen

_CONTROLS: Final = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")
_PASTED: Final = re.compile(r"\[(?:Pasted|\.\.\.Truncated) text #\d+(?: \+\d+ lines?)?(?:\.\.\.)?\]")


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


def drafted(screen: Screen, text: str) -> bool:
    """Whether the box holds this text and nothing else, as far as a screen can show it."""
    draft = screen.draft
    if not draft and text.lower().startswith(PLACEHOLDERS):  # it reads like a hint of the client
        return _bones(text) in _bones("".join(screen.lines[-40:]))
    return bool(draft) and _shows(draft, text)


def shows_prompt(screen: Screen, text: str, before: str = "") -> bool:
    """Whether the last prompt of the conversation is this text.

    A long paste that is not shown in full counts only when the conversation was another one `before` it was sent.
    """
    if _PASTED.search(screen.prompt) and before in {"", fingerprint(screen)}:
        return False
    return bool(screen.prompt) and _shows(screen.prompt, text)


def fingerprint(screen: Screen) -> str:
    """Tells whether the conversation on the screen has changed."""
    return f"{crc32(repr([block.text for block in screen.blocks]).encode('utf-8', 'replace')):08x}"


def answered(turn: Sequence[Block]) -> bool:
    """Whether the agent has said something in this turn, or has closed it."""
    return any(block.mark in {Mark.SPEECH, Mark.ANSWER} or block.closes for block in turn)


def _shows(shown: str, text: str) -> bool:
    """The client wraps a text, cuts it, or draws a long paste, or its middle, as `[Pasted text #1 +9 lines]`."""
    seen, whole = [_bones(part) for part in _PASTED.split(shown)], _bones(text)
    if len(seen) == 2:
        return whole.startswith(seen[0]) and whole.endswith(seen[1])
    return seen == [whole] or (len(seen) == 1 and len(seen[0]) >= 40 and seen[0] in whole)


def _bones(text: str) -> str:
    """Letters and digits alone: how the rest is drawn and wrapped differs between clients and terminals."""
    return "".join(filter(str.isalnum, text))


def printable(name: str) -> str:
    """A file's name as it may be printed and stored."""
    clean = name.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in clean)
