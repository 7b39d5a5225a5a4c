r"""Method `env`: the account is what a session is started with, from `env` and `env_file`; no live file is touched.

The grammar of an `env_file` (UTF-8, LF or CRLF, at most 64 KiB), line by line:

    # a comment; empty lines too
    NAME=value            to the end of the line, without a ` # comment` and the blanks around it
    export NAME=value     the same
    NAME='value'          as it stands between the quotes
    NAME="value"          with \n \t \" \\ \$ as escapes

Nothing is expanded, and no value goes over several lines. Of a name set twice the last counts; the file's values go
before those of `env`. As it holds secrets, the file must be a regular one, owned by us, and not accessible to others.
"""

import os
import re
import stat
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from failover_oneshot.accounts.method import MethodError
from failover_oneshot.accounts.staged import why
from failover_oneshot.config.model import Account
from failover_oneshot.lib import atomicfile

LIMIT = 64 * 1024
_LINE = re.compile(r"(?:export[ \t]+)?([A-Za-z_][A-Za-z0-9_]*)=(.*)")
_QUOTED = re.compile(r"""(?:'([^']*)'|"((?:[^"\\]|\\.)*)")[ \t]*(?:#.*)?""")
_ESCAPES = {"n": "\n", "t": "\t", '"': '"', "\\": "\\", "$": "$"}


class EnvMethod:
    """Implements `Method`."""

    def check(self, account: Account) -> str | None:
        """See `Method`."""
        if not account.env and not account.env_file:
            return "it has neither env nor env_file"
        try:
            values = self.environment(account)
        except MethodError as error:
            return str(error)
        return None if any(values.values()) else "its env and env_file set nothing"

    def live_account(self) -> str | None:
        """See `Method`: each session may run on another, and nothing outside of them tells."""
        return None

    def lineage(self) -> dict[str, str]:
        """See `Method`."""
        return {}

    @contextmanager
    def exclusive(self, timeout: float) -> Iterator[None]:  # noqa: ARG002
        """See `Method`: nothing is shared."""
        yield

    def save_back(self, outgoing: Account | None, note: Mapping[str, str]) -> str:  # noqa: ARG002
        """See `Method`."""
        return "method env has no live files: nothing to save"

    def prepare(self, incoming: Account) -> dict[str, str]:  # noqa: ARG002
        """See `Method`."""
        return {}

    def install(self, incoming: Account, note: Mapping[str, str]) -> None:  # noqa: ARG002
        """See `Method`: the restart of the sessions does it, if the account can be used at all."""
        self.verify(incoming)

    def verify(self, incoming: Account) -> None:
        """See `Method`."""
        if problem := self.check(incoming):
            raise MethodError(f"account {incoming.name}: {problem}")

    def undo(self, outgoing: Account, note: Mapping[str, str]) -> None:
        """See `Method`."""

    def environment(self, account: Account) -> dict[str, str]:
        """See `Method`. MethodError when the env_file can not be used; it names the line, never its content."""
        return {**account.env, **(_read(Path(account.env_file)) if account.env_file else {})}


def parse(text: str) -> dict[str, str]:
    """An env_file's names and values. ValueError names the first line that is wrong."""
    values: dict[str, str] = {}
    for number, line in enumerate(text.replace("\r\n", "\n").split("\n"), start=1):
        stripped = line.strip(" \t")
        if not stripped or stripped.startswith("#"):
            continue
        match = _LINE.fullmatch(stripped)
        if match is None or "\0" in line or "\r" in line:
            raise ValueError(f"line {number} is not NAME=value")
        values[match[1]] = _value(match[2], number)
    return values


def _value(text: str, number: int) -> str:
    text = text.strip(" \t")
    if text[:1] not in {"'", '"'}:
        return "" if text.startswith("#") else re.split(r"[ \t]#", text, maxsplit=1)[0].rstrip(" \t")
    match = _QUOTED.fullmatch(text)
    if match is None:
        raise ValueError(f"line {number} has a quote that does not end, or something after it")
    if match[1] is not None:
        return match[1]
    return re.sub(r"\\(.)", lambda found: _ESCAPES.get(found[1], found[0]), match[2])


def _read(path: Path) -> dict[str, str]:
    try:
        info = path.stat()
        data = atomicfile.read_bounded(path, LIMIT)
    except (OSError, ValueError) as error:
        raise MethodError(f"env_file {why(error)}") from None
    if info.st_uid != os.geteuid():
        raise MethodError(f"env_file {path} belongs to another user")
    if stat.S_IMODE(info.st_mode) & 0o077:
        raise MethodError(f"env_file {path} is accessible to others: chmod 600 it")
    try:
        return parse(data.decode())
    except UnicodeDecodeError:
        raise MethodError(f"env_file {path} is not UTF-8 text") from None
    except ValueError as error:
        raise MethodError(f"env_file {path}: {error}") from None
