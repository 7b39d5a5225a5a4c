"""Output of the commands: as wide as the terminal, color only on one, and only characters that it can show."""

import os
import re
import textwrap
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TextIO

from failover_oneshot.model import Outcome

WIDTH = 80  # of everything that is not a terminal
_STYLES = {"bold": "1", "dim": "2", "good": "32", "bad": "1;31", "warn": "35"}
_ASCII = {"✓": "+", "✗": "!", "→": "->", "·": "-", "…": "...", "“": '"', "”": '"', "’": "'", "●": "*", "❯": ">",
          "▸": ">", "│": "|"}  # fmt: skip
OUTCOMES = {
    Outcome.OK: "good", Outcome.RESUMED: "good", Outcome.SWAPPED: "warn", Outcome.SUSPECTED: "warn",
    Outcome.COOLDOWN: "warn", Outcome.PAUSED: "warn", Outcome.WAITING: "bad", Outcome.FAILED: "bad",
    Outcome.STATE_RESET: "bad",
}  # fmt: skip

Cell = str | tuple[str, str]
"""A table's cell: its text, or the text and its style."""


class Terminal:
    """A stream to print to. NO_COLOR (no-color.org) and a `TERM` of `dumb` turn color off.

    ``width``: its columns now; `WIDTH` if the stream is not a terminal.
    """

    def __init__(self, stream: TextIO, environ: Mapping[str, str]) -> None:
        self._stream = stream
        self.interactive = stream.isatty()
        self._colored = self.interactive and not environ.get("NO_COLOR") and environ.get("TERM", "dumb") != "dumb"
        self.moves = self.interactive and environ.get("TERM", "dumb") != "dumb"  # whether the cursor can be moved
        self._frame: list[str] | None = None
        self._plain: Mapping[int, str] = {}
        try:
            "".join(_ASCII).encode(stream.encoding or "ascii")
        except (UnicodeEncodeError, LookupError):
            self._plain = str.maketrans(_ASCII)

    @property
    def size(self) -> tuple[int, int]:
        """Columns and lines; 80 and 24 if the stream is not a terminal."""
        try:
            columns, lines = os.get_terminal_size(self._stream.fileno())
        except (OSError, ValueError):  # a file, a pipe, a string
            return WIDTH, 24
        return columns or WIDTH, lines or 24

    @property
    def width(self) -> int:
        """Columns of the terminal."""
        return self.size[0]

    def say(self, text: str = "") -> None:
        """Print a line and flush it, because the reader is watching."""
        text = text.translate(self._plain)
        if self._frame is None:
            print(text, file=self._stream, flush=True)
        else:
            self._frame.append(text)

    def control(self, sequence: str) -> None:
        """Write a control sequence; only for a terminal that `moves`."""
        self._stream.write(sequence.translate(self._plain))
        self._stream.flush()

    @contextmanager
    def framed(self) -> Iterator[list[str]]:
        """Collect the lines printed within the block in the list, instead of printing them."""
        self._frame = []
        try:
            yield self._frame
        finally:
            self._frame = None

    def fact(self, name: str, text: str, style: str = "") -> None:
        """Print `name  text`, with the text wrapped beside the name; ``style`` applies to the text."""
        margin = " " * 14
        for number, line in enumerate(wrap(printable(text), margin, margin, self.width) or [""]):
            head = self.style(name.ljust(13), "bold") + " " if number == 0 else margin
            self.say(head + self.style(line[14:], style))

    def style(self, text: str, name: str) -> str:
        """The text in a style (bold, dim, good, bad, warn) if the terminal has color."""
        return f"\x1b[{_STYLES[name]}m{text}\x1b[0m" if self._colored and text and name else text

    def paragraph(self, text: str, *, first: str = "  ", rest: str = "  ", style: str = "", head: str = "") -> None:
        """Print a text, wrapped between words; a styled ``head`` replaces the first columns, which must be blank."""
        for number, line in enumerate(wrap(printable(text), first, rest, self.width)):
            plain = len(re.sub(r"\x1b\[[0-9;]*m", "", head)) if number == 0 else 0
            self.say((head if plain else "") + self.style(line[plain:], style))

    def table(self, rows: Iterable[Sequence[Cell]], *, indent: str = "  ", cut: bool = True) -> None:
        """Print rows; the first one is the heading, printed dim.

        On a terminal, or with ``cut``, a line that does not fit ends with `…`.
        """
        width = self.width if cut or self.interactive else 0
        for number, line in enumerate(laid_out(list(rows), indent, width)):
            said = "".join(self.style(text, style) for text, style in line).rstrip()
            self.say(self.style(said, "dim") if number == 0 else said)


def laid_out(rows: Sequence[Sequence[Cell]], indent: str, width: int) -> list[list[tuple[str, str]]]:
    """The rows as lines of styled parts, each column as wide as its widest cell; ``width`` 0: no limit."""
    table = [[_cell(cell) for cell in row] for row in rows]
    widths = [max((cells(text) for text, _ in column), default=0) for column in zip(*table, strict=True)]
    if width:  # a name of 200 letters must not push the other columns out
        widths = [*(min(wide, max(12, width // 3)) for wide in widths[:-1]), *widths[-1:]]
    lines = []
    for row in table:
        parts, left = [(indent, "")], width - len(indent)
        for at, (text, style) in enumerate(row):
            fits = widths[at] if at < len(row) - 1 or not width else max(0, left)
            shown = elided(text, min(fits, max(0, left)) if width else fits)
            padding = "" if at == len(row) - 1 else " " * (widths[at] - cells(shown) + 2)
            parts += [(shown, style), (padding, "")]
            left -= widths[at] + 2
        lines.append(parts)
    return lines


def _cell(cell: Cell) -> tuple[str, str]:
    text, style = (cell, "") if isinstance(cell, str) else cell
    return printable(text), style


def printable(text: str) -> str:
    """The text without control characters: text from a state or a screen must not control the terminal."""
    return text if text.isprintable() else "".join(c if c.isprintable() else " " for c in text)


def cells(text: str) -> int:
    """How many columns the text takes."""
    if text.isascii():
        return len(text)
    from unicodedata import combining, east_asian_width

    return sum(0 if combining(c) else 2 if east_asian_width(c) in "WF" else 1 for c in text)


def elided(text: str, width: int) -> str:
    """The text in at most ``width`` columns; a longer one is cut and ends with `…`."""
    if cells(text) <= width:
        return text
    while text and cells(text) > width - 1:
        text = text[: max(width - 1, 0)] if len(text) > width else text[:-1]
    return f"{text}…" if width else ""


def wrap(text: str, first: str = "  ", rest: str = "  ", width: int = WIDTH) -> list[str]:
    """The text in lines of ``width`` columns, broken only between words, so that names and paths stay whole."""
    return textwrap.wrap(
        text, width, initial_indent=first, subsequent_indent=rest, break_long_words=False, break_on_hyphens=False
    )
