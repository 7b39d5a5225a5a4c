"""What the commands print: 80 columns, colour only on a terminal, and no character that the stream can not write."""

import re
import textwrap
from collections.abc import Iterable, Mapping, Sequence
from typing import TextIO

WIDTH = 80
_STYLES = {"bold": "1", "dim": "2", "good": "32", "bad": "1;31"}
_ASCII = {"✓": "+", "✗": "!", "→": "->", "·": "-", "…": "...", "“": '"', "”": '"', "’": "'", "●": "*", "❯": ">"}


class Terminal:
    """A stream to print on. NO_COLOR (no-color.org) and a `TERM` of `dumb` are honoured."""

    def __init__(self, stream: TextIO, environ: Mapping[str, str]) -> None:
        self._stream = stream
        self._coloured = stream.isatty() and not environ.get("NO_COLOR") and environ.get("TERM", "dumb") != "dumb"
        self._plain: Mapping[int, str] = {}
        try:
            "".join(_ASCII).encode(stream.encoding or "ascii")
        except (UnicodeEncodeError, LookupError):
            self._plain = str.maketrans(_ASCII)

    def say(self, text: str = "") -> None:
        """Print a line, at once: the reader watches."""
        print(text.translate(self._plain), file=self._stream, flush=True)

    def style(self, text: str, name: str) -> str:
        """The text in a style (bold, dim, good, bad), where there is colour."""
        return f"\x1b[{_STYLES[name]}m{text}\x1b[0m" if self._coloured and text else text

    def paragraph(self, text: str, *, first: str = "  ", rest: str = "  ", head: str = "") -> None:
        """Print a text, wrapped between words; a styled ``head`` takes the place of the first columns, all blank."""
        for number, line in enumerate(wrap(text, first, rest)):
            plain = len(re.sub(r"\x1b\[[0-9;]*m", "", head))
            self.say(head + line[plain:] if number == 0 and head else line)

    def table(self, rows: Iterable[Sequence[str]], *, indent: str = "  ") -> None:
        """Print rows under a dim head, which is the first of them; a cell that does not fit ends with `…`."""
        for number, line in enumerate(columns(list(rows))):
            text = indent + line
            text = text if len(text) <= WIDTH else text[: WIDTH - 1] + "…"
            self.say(self.style(text, "dim") if number == 0 else text)


def columns(rows: Sequence[Sequence[str]]) -> list[str]:
    """The rows as lines, each column as wide as its widest cell."""
    widths = [max(map(len, cells)) for cells in zip(*rows, strict=True)]
    return ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]


def wrap(text: str, first: str = "  ", rest: str = "  ") -> list[str]:
    """The text in lines of at most 80 columns, broken between words only: names and paths stay whole."""
    return textwrap.wrap(
        text, WIDTH, initial_indent=first, subsequent_indent=rest, break_long_words=False, break_on_hyphens=False
    )
