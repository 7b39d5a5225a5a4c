"""Decode what tmux prints (pane listings, captured screens), and quote in both directions. Pure."""

import re
from collections.abc import Iterator, Sequence
from typing import Final

from msgspec import Struct

from failover_oneshot.model import Pane

SYNCHRONIZED: Final = "synchronized"  # the mode of a pane whose keys go to its neighbors too
MODE: Final = f"?pane_synchronized,{SYNCHRONIZED},#{{pane_mode}}"

FIELDS: Final = (
    "pid",  # of the server
    "version",
    "session_id",
    "session_name",
    "window_active",
    "window_width",
    "window_height",
    "pane_id",
    "pane_active",
    "pane_pid",
    "pane_dead",
    MODE,
    "pane_width",
    "pane_height",
    "pane_title",
    "pane_current_command",
    "pane_start_command",
    "pane_start_path",
    "pane_current_path",
)


class PaneRow(Struct, frozen=True, kw_only=True):
    """One pane of one session as listed. A pane of a linked window has a row in each of its sessions."""

    server_pid: int
    session_id: str
    session_name: str
    window_active: bool
    window_width: int
    window_height: int
    pane: Pane


def listing_format(mark: str) -> str:
    """The format for list-panes: every field, each followed by `mark`, a random word that no field holds.

    A fixed separator would be ambiguous: titles, paths and names may hold any character, line breaks included.
    """
    return "".join(f"#{{{name}}}{mark}" for name in FIELDS)


def parse_listing(output: str, mark: str) -> tuple[PaneRow, ...]:
    """The rows of a listing printed with `listing_format(mark)`. ValueError when it is incomplete."""
    *cells, rest = output.split(mark)
    if rest.strip() or len(cells) % len(FIELDS):
        raise ValueError("the pane list is incomplete")
    return tuple(_row(cells[at : at + len(FIELDS)]) for at in range(0, len(cells), len(FIELDS)))


def _row(cells: Sequence[str]) -> PaneRow:
    field = dict(zip(FIELDS, cells, strict=True))
    version = field["version"]
    current = _printed(field["pane_current_path"], version)
    dead = field["pane_dead"] == "1"
    pane = Pane(
        pane_id=field["pane_id"],
        pid=int(field["pane_pid"] or 0),
        title=_printed(field["pane_title"], version),
        command=_printed(field["pane_current_command"], version),
        start_command=start_command(_printed(field["pane_start_command"], version), version),
        path=_printed(field["pane_start_path"], version) or current,
        current_path=current,
        width=int(field["pane_width"]),
        height=int(field["pane_height"]),
        active=field["window_active"] == "1" and field["pane_active"] == "1",
        dead=dead,
        mode=field[MODE],
        error="dead" if dead else None,
    )
    return PaneRow(
        server_pid=int(field["pid"].strip()),  # the previous row's line break
        session_id=field["session_id"],
        session_name=_printed(field["session_name"], version),
        window_active=field["window_active"] == "1",
        window_width=int(field["window_width"]),
        window_height=int(field["window_height"]),
        pane=pane,
    )


def _version(text: str) -> tuple[int, int]:
    """`3.3a` or `next-3.6` as (3, 3) or (3, 6). Without a number (a build from git) it counts as the newest."""
    found = re.search(r"(?:^|next-)(\d+)\.(\d+)", text)
    return (int(found[1]), int(found[2])) if found else (99, 0)


def _printed(text: str, version: str) -> str:
    """Undo what only tmux 3.4 does to all its output: a backslash before `$NAME` and `${`."""
    return re.sub(r"\\\$(?=[A-Za-z_{])", "$", text) if _version(version) == (3, 4) else text


SHELLS: Final = frozenset(
    ("sh", "ash", "bash", "csh", "dash", "elvish", "fish", "ksh", "mksh", "nu", "pwsh", "rbash", "tcsh", "xonsh", "zsh")
)


def is_shell(command: str) -> bool:
    """Whether a pane's foreground command is a shell; a login shell's name begins with "-"."""
    return command.removeprefix("-") in SHELLS


# --- quoting -----------------------------------------------------------------------------------------------------

_C_STYLE: Final = {"n": b"\n", "r": b"\r", "b": b"\b", "a": b"\a", "v": b"\v", "t": b"\t", "f": b"\f", "s": b" "}
_ESCAPE: Final = re.compile(r"\\([0-3][0-7][0-7]|.)", re.DOTALL)
_WORD: Final = re.compile(r"""\s*(?:"((?:[^"\\]|\\.)*)"|'([^']*)'|((?:[^\s\\]|\\.)+))""", re.DOTALL)


def start_command(printed: str, version: str) -> str:
    """The shell command that restarts a pane's program, from `#{pane_start_command}`; "" for the default shell.

    tmux 3.2 and later print each argument quoted (`args_escape` over `vis`); earlier versions print them bare. One
    argument is a command for the shell. Several are a program that tmux started without a shell.
    """
    if _version(version) < (3, 2):
        return printed
    words = list(_words(printed))
    if len(words) < 2:
        return "".join(words)
    import shlex

    return "exec " + shlex.join(words)


def _words(printed: str) -> Iterator[str]:
    for double, single, bare in _WORD.findall(printed):
        yield _unescape(double or single or bare)


def _unescape(text: str) -> str:
    def plain(match: re.Match[str]) -> bytes:
        code = match[1]
        return bytes([int(code, 8)]) if len(code) == 3 else _C_STYLE.get(code, code.encode("utf-8", "surrogateescape"))

    out, at = b"", 0
    for match in _ESCAPE.finditer(text):
        out += text[at : match.start()].encode("utf-8", "surrogateescape") + plain(match)
        at = match.end()
    return (out + text[at:].encode("utf-8", "surrogateescape")).decode("utf-8", "surrogateescape")


def quote(text: str) -> str:
    """The text as one word of tmux's command language. ValueError for a NUL, which no argument can hold.

    All but the plainest bytes are written in octal. Within double quotes tmux expands `$`, `~` and `\\`. Even within
    single quotes it drops the blanks and comments after a line break.
    """
    raw = text.encode("utf-8", "surrogateescape")
    if 0 in raw:
        raise ValueError("cannot pass a NUL character to tmux")
    return '"' + "".join(chr(b) if chr(b) in _PLAIN else f"\\{b:03o}" for b in raw) + '"'


_PLAIN: Final = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789 _-+=/.,:@%")


def script(*commands: Sequence[str]) -> str:
    """The commands as one line of tmux's language. When one fails, tmux skips the rest of the line."""
    return " ; ".join(" ".join(quote(word) for word in command) for command in commands) + "\n"


def literal(text: str) -> str:
    """The text, escaped for an argument that tmux expands as a format."""
    return text.replace("#", "##")


_VARIABLE: Final = re.compile(r'^(?:unset (\w+);|(\w+)="((?:[^"\\]|\\.)*)"; export \2;)$', re.MULTILINE | re.DOTALL)


def parse_environment(shown: str, version: str) -> dict[str, str | None]:
    """Names and values from `show-environment -s`; None for a variable that the session removes."""
    return {
        match[1] or match[2]: None if match[1] else re.sub(r"\\(.)", r"\1", match[3])
        for match in _VARIABLE.finditer(_printed(shown, version))
    }


# --- captured screens ----------------------------------------------------------------------------------------------


def screen_text(captured: str, width: int) -> str:
    """A screen captured with `-J` as the program's own lines: trailing blanks stripped, wrongly joined rows split.

    tmux marks a row that continues in the next one. The mark outlives its text when a program redraws a long line row
    by row. Such a row ends in blanks; a row that really continues does not.
    """
    lines: list[str] = []
    for line in captured.removesuffix("\n").split("\n"):
        lines.extend([line] if len(line) <= width else _split(line, width))
    return "\n".join(line.rstrip() for line in lines)


def _split(line: str, width: int) -> Iterator[str]:
    """`line` cut after each full row of `width` columns that ends in two blanks."""
    from unicodedata import combining, east_asian_width

    start = column = 0
    for at, char in enumerate(line):
        cells = 0 if combining(char) else 2 if east_asian_width(char) in "WF" else 1
        if column + cells > width:
            if line[start:at].endswith("  "):
                yield line[start:at]
                start = at
            column = 0
        column += cells
    yield line[start:]
