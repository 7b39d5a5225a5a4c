"""Finds the installed version of Claude Code. Reads only; does not run it."""

import os
import re
import shutil
from collections.abc import Iterable
from pathlib import Path
from typing import Final

import msgspec

_HEADER: Final = re.compile(r"Claude Code v(\d+\.\d+\.\d+)")


def version(texts: Iterable[str]) -> str | None:
    """The version from a screen, else from the installation; None if neither shows it."""
    return next((match[1] for text in texts if (match := _HEADER.search(text))), None) or _installed()


def _installed() -> str | None:
    program = shutil.which("claude")
    if program is None:
        return None
    real = Path(os.path.realpath(program))
    if match := re.search(r"/(\d+\.\d+\.\d+)(?:/|$)", str(real)):  # …/claude/versions/2.1.330
        return match[1]
    for folder in list(real.parents)[:3]:
        try:
            value = msgspec.json.decode((folder / "package.json").read_bytes())
            return str(value["version"]) if value["name"] == "@anthropic-ai/claude-code" else None
        except (OSError, ValueError, KeyError, TypeError):
            continue
    return None
