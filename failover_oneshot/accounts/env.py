r"""Method `env`: sessions are started with an account's `env` and `env_file`; no live file is touched.

The grammar of an `env_file` (UTF-8, LF or CRLF, at most 64 KiB), line by line:

    # a comment; empty lines are skipped too
    NAME=value            up to the end of the line or a ` # comment`, surrounding blanks stripped
    export NAME=value     the same
    NAME='value'          literal
    NAME="value"          with \n \t \" \\ \$ as escapes

No value is expanded or continued on the next line. The last assignment of a name counts. The file's values win over
`env`. The file holds secrets, so it must be a regular file, owned by us, and not accessible to others.
"""

import os
import re
import stat
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from failover_oneshot.accounts.method import MethodError, Saved
from failover_oneshot.accounts.staged import cannot_read
from failover_oneshot.accounts.without_files import WithoutFiles
from failover_oneshot.config.model import Account
from failover_oneshot.lib import atomicfile

LIMIT = 64 * 1024  # bytes
_LINE = re.compile(r"(?:export[ \t]+)?([A-Za-z_][A-Za-z0-9_]*)=(.*)")
_QUOTED = re.compile(r"""(?:'([^']*)'|"((?:[^"\\]|\\.)*)")[ \t]*(?:#.*)?""")
_ESCAPES = {"n": "\n", "t": "\t", '"': '"', "\\": "\\", "$": "$"}


class EnvMethod(WithoutFiles):
    """Implements `SwapMethod`."""

    no_files = "method env has no live credentials; its accounts are in the config"

    def check(self, account: Account) -> str | None:
        """See `SwapMethod`."""
        if not account.env and not account.env_file:
            return "neither env nor env_file configured"
        try:
            values = self.environment(account)
        except MethodError as error:
            return str(error)
        return None if any(values.values()) else "env and env_file set no value"

    @contextmanager
    def exclusive(self, timeout: float) -> Iterator[None]:  # noqa: ARG002
        """See `SwapMethod`. Takes no lock: the method has no shared files."""
        yield

    def save_back(self, outgoing: Account | None, note: Mapping[str, str]) -> Saved:  # noqa: ARG002
        """See `SwapMethod`."""
        return Saved("nothing to save: method env has no live files")

    def prepare(self, incoming: Account) -> dict[str, str]:  # noqa: ARG002
        """See `SwapMethod`."""
        return {}

    def install(self, incoming: Account, note: Mapping[str, str]) -> None:  # noqa: ARG002
        """See `SwapMethod`. Only checks that the account is usable; restarting the sessions changes it."""
        self.verify(incoming)

    def verify(self, incoming: Account) -> None:
        """See `SwapMethod`."""
        if problem := self.check(incoming):
            raise MethodError(problem)

    def undo(self, outgoing: Account, note: Mapping[str, str]) -> None:
        """See `SwapMethod`."""

    def environment(self, account: Account) -> dict[str, str]:
        """See `SwapMethod`. MethodError when the env_file cannot be used; it names the line, never its content."""
        return {**account.env, **(_read(Path(account.env_file)) if account.env_file else {})}


def parse(text: str) -> dict[str, str]:
    """An env_file's names and values. ValueError names the first wrong line, never its content."""
    values: dict[str, str] = {}
    for number, line in enumerate(text.replace("\r\n", "\n").split("\n"), start=1):
        stripped = line.strip(" \t")
        if not stripped or stripped.startswith("#"):
            continue
        match = _LINE.fullmatch(stripped)
        if match is None or "\0" in line or "\r" in line:
            raise ValueError(f"line {number}: not NAME=value")
        values[match[1]] = _value(match[2], number)
    return values


def _value(text: str, number: int) -> str:
    text = text.strip(" \t")
    if text[:1] not in {"'", '"'}:
        return "" if text.startswith("#") else re.split(r"[ \t]#", text, maxsplit=1)[0].rstrip(" \t")
    match = _QUOTED.fullmatch(text)
    if match is None:
        raise ValueError(f"line {number}: unterminated quote, or text after the closing quote")
    if match[1] is not None:
        return match[1]
    return re.sub(r"\\(.)", lambda found: _ESCAPES.get(found[1], found[0]), match[2])


def _read(path: Path) -> dict[str, str]:
    try:
        info = path.stat()
        data = atomicfile.read_bounded(path, LIMIT)
    except (OSError, ValueError) as error:
        raise MethodError(f"env_file: {cannot_read(error)}") from None
    if info.st_uid != os.geteuid():
        raise MethodError(f"env_file {path} belongs to another user (uid {info.st_uid}); run `sudo chown $USER {path}`")
    if (mode := stat.S_IMODE(info.st_mode)) & 0o077:
        raise MethodError(f"env_file {path} is accessible to others (mode {mode:04o}); run `chmod 600 {path}`")
    try:
        return parse(data.decode())
    except UnicodeDecodeError:
        raise MethodError(f"env_file {path} is not UTF-8 text") from None
    except ValueError as error:
        raise MethodError(f"env_file {path}: {error}") from None
