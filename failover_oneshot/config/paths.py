"""Paths as they are written in a configuration: `~` and variables filled in, relative ones taken from its folder."""

import os
import re
from collections.abc import Mapping

CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")


def expand(text: str, environ: Mapping[str, str], folder: str) -> str:
    """An absolute path: `~`, `~user`, `$VAR` and `${VAR}` filled in, a relative one taken from ``folder``.

    Raises ValueError with a sentence when there is nothing to fill in.
    """
    if not text.strip():
        raise ValueError("is empty: leave the value out for the default")
    if CONTROL.search(text):
        raise ValueError("holds a control character")
    head, slash, rest = text.partition("/")
    if head.startswith("~"):
        head = _home(head[1:], environ)
    path = re.sub(r"\$(?:\{(\w+)\}|(\w+))", lambda found: _variable(found, environ), head + slash + rest)
    if not path.strip() or CONTROL.search(path):
        raise ValueError("is empty, or holds a control character, once its variables are filled in")
    return path if path.startswith("/") else f"{folder}/{path}"


def _variable(found: re.Match[str], environ: Mapping[str, str]) -> str:
    name = found[1] or found[2]
    if name not in environ:
        raise ValueError(f"${name} is not set")
    return environ[name]


def _home(user: str, environ: Mapping[str, str]) -> str:
    if not user and (home := environ.get("HOME")):
        return home
    import pwd

    try:
        return (pwd.getpwnam(user) if user else pwd.getpwuid(os.getuid())).pw_dir
    except KeyError:
        raise ValueError(f"there is no user {user}" if user else "$HOME is not set") from None
