"""Removes secrets, e-mail addresses and home folders from a recorded screen and keeps its layout. Pure."""

import re
from collections.abc import Iterable
from typing import Final

from failover_oneshot.lib.redact import redact

BLANK: Final = "[redacted]"
_EMAIL: Final = re.compile(r"[A-Za-z0-9._%+-]{1,64}@[A-Za-z0-9-]{1,63}(?:\.[A-Za-z0-9-]{1,63}){1,8}")
_REST: Final = re.compile(r"( {0,4}[│|]? {0,2})([A-Za-z0-9._~+/=-]{6,})(?= |$)")


def scrub(text: str, homes: Iterable[str] = ()) -> str:
    """The text without secrets and e-mail addresses, and with each of the folders ``homes`` replaced by `~`.

    A secret that the terminal or the agent wrapped over several lines is removed from each of them.
    """
    lines = []
    broken = False  # whether a secret reaches the end of the previous line
    for line in text.split("\n"):
        clean = line
        if broken and (rest := _REST.match(line)):
            clean = f"{rest[1]}{BLANK}{line[rest.end() :]}"
        clean = redact(clean)
        broken = clean != line and clean.rstrip(" │|").endswith(BLANK)
        clean = _EMAIL.sub("someone@example.invalid", clean)
        for home in homes:
            if len(home) > 1:
                clean = re.sub(rf"{re.escape(home)}(?![\w.-])", "~", clean)
        lines.append(clean)
    return "\n".join(lines)
