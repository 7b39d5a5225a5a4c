"""Expands the paths of a configuration: `~`, variables, and paths relative to its folder."""

import os
import re
from collections.abc import Mapping

CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")


def expand(text: str, environ: Mapping[str, str], folder: str) -> str:
    """The absolute path, with `~`, `~user`, `$VAR` and `${VAR}` expanded. A relative path starts at ``folder``.

    Raises ValueError with a message when the path cannot be expanded.
    """
    if not text.strip():
        raise ValueError("is empty; leave the key out to use its default")
    if CONTROL.search(text):
        raise ValueError("must not contain control characters")
    head, slash, rest = text.partition("/")
    if head.startswith("~"):
        head = _home(head[1:], environ)
    path = re.sub(r"\$(?:\{(\w+)\}|(\w+))", lambda found: _variable(found, environ), head + slash + rest)
    if not path.strip() or CONTROL.search(path):
        raise ValueError("is empty or contains a control character after its variables are expanded")
    return path if path.startswith("/") else f"{folder}/{path}"


def _variable(found: re.Match[str], environ: Mapping[str, str]) -> str:
    name = found[1] or found[2]
    if name not in environ:
        raise ValueError(f"environment variable ${name} is not set")
    return environ[name]


def _home(user: str, environ: Mapping[str, str]) -> str:
    if not user and (home := environ.get("HOME")):
        return home
    import pwd

    try:
        return (pwd.getpwnam(user) if user else pwd.getpwuid(os.getuid())).pw_dir
    except KeyError:
        raise ValueError(f"no user named '{user}'" if user else "environment variable $HOME is not set") from None
