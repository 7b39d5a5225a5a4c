"""Finds credential files that are one file under two names, which a swap would destroy (law L2). Reads no content.

A swap replaces the live files. If one of them is also a file of a store, by a link or otherwise, the account that it
leaves has no credentials any more. So each name must lead to a file of its own, also before the file exists.
"""

import os
import stat
from collections.abc import Iterable, Iterator
from enum import Enum
from pathlib import Path, PurePath

from msgspec import Struct

from failover_oneshot.config.model import Config, Method
from failover_oneshot.config.yaml_source import KeyPath, Problem

LIVE = ".credentials.json"
"""Method claude: the name of the live credentials in `swap.claude_dir`."""
STORED = (LIVE, "oauthAccount.json")
"""Method claude: the names in a store."""
PREVIOUS = ".prev"
"""Appended to the name of a store file's previous version."""

LONGEST_WAY = 40  # links; Linux follows no more

Place = tuple[int, int] | str  # device and inode; without a file, the path where it would be


class LinkedFiles(Problem, frozen=True):
    """A problem of the file system, not of the text. Its own text is shown as it is: the command in it must work."""


class CredentialFile(Struct, frozen=True):
    """A name for credentials: live, in the store of ``account``, or neither (a kept copy, without a key)."""

    path: str
    key: KeyPath = ()  # of the config that leads to it
    account: str | None = None

    @property
    def owner(self) -> str:
        """What the file belongs to, for messages."""
        if self.account:
            return f"{self.account}'s store"
        return "the live credentials" if self.key else "the kept copies"


class How(Enum):
    """How two names lead to one file; `{0}` and `{1}` are the paths."""

    LINK = "{0} is a symbolic link to {1}"
    LINKS = "{0} and {1} are symbolic links to the same file"
    HARD = "{0} is a hard link to {1}"
    PATH = "{0} and {1} are the same path"
    MOUNT = "{0} is {1}, through a mount"


class Clash(Struct, frozen=True):
    """Two names of one file: ``link`` can be made separate without a change to ``file``."""

    link: CredentialFile
    file: CredentialFile
    how: How
    dangling: bool = False  # there is no such file

    @property
    def text(self) -> str:
        """The two names and how they are one, in a sentence."""
        one, other = sorted((self.link, self.file), key=lambda file: not file.account)  # a store is the subject
        both = f"{one.owner} and {other.owner} share a file"
        if one.owner == other.owner:
            both = f"one file of {one.owner} has two names"
        return f"{both}: {self.how.value.format(self.link.path, self.file.path)}"

    @property
    def remedy(self) -> str:
        """What to do: the command that makes the files separate, and then what makes each account's store right."""
        if self.how is How.PATH:
            return "set a different path in the config"
        if self.how is How.MOUNT:
            return "remove the mount (`findmnt` lists all)"
        return f"run `{self.command}`{self._then}"

    @property
    def command(self) -> str:
        """The shell command that makes ``link`` a separate file with the same content; removes a dangling link."""
        from shlex import quote

        link, new = quote(self.link.path), quote(f"{self.link.path}.new")
        return f"rm {link}" if self.dangling else f"cp -p {link} {new} && mv {new} {link}"

    @property
    def _then(self) -> str:
        """What else to do where a store may hold another account's credentials, of which it now gets a copy."""
        files = (self.link, self.file)
        earlier = any(file.account and file.path.endswith(PREVIOUS) for file in files)
        if self.dangling or earlier or self.link.owner == self.file.owner or not all(file.key for file in files):
            return ""
        name, *others = (file.account for file in files if file.account)
        whose = f"if the live credentials are not {name}'s, also"
        if others:
            both = f"{name} or {others[0]}"
            whose = f"both stores then hold the same credentials: for {both}, whichever does not own them,"
            name = "NAME"
        return (
            f"; {whose} run `failoverctl accounts restore {name}`, "
            f"or log in as {name} and run `failoverctl accounts add {name}`"
        )


def clashes(config: Config, folders: Iterable[Path] = ()) -> tuple[Clash, ...]:
    """Every two names that lead to one file, for methods claude and files; empty if all files are separate.

    ``folders`` hold kept copies, which must be separate from the live files and the stores.
    """
    files = [*_credential_files(config), *_kept(folders)]
    if found := tuple(_find(files)):
        # While another check swaps, a new file may get the inode of one that was read before: look twice.
        again = {*_find(files)}
        found = tuple(clash for clash in found if clash in again)
    return found


def problems(config: Config) -> Iterator[LinkedFiles]:
    """The clashes as problems of the config, each at the store that it concerns."""
    for clash in clashes(config):
        at = next((file.key for file in (clash.link, clash.file) if file.account), clash.link.key)
        also = (("swap", "method"), clash.link.key, clash.file.key)
        yield LinkedFiles(at, f"{clash.text}; {clash.remedy}", also=also)


def kept_folders(beside: Path) -> list[Path]:
    """The folders of kept copies beside the state, whose folder is ``beside``."""
    return [beside / "unclaimed", *sorted(beside.glob("generations/*"))]


def live_credentials(config: Config) -> tuple[str, ...]:
    """The live files that hold credentials; empty for the methods that replace no files."""
    if config.swap.method is Method.CLAUDE:
        return (f"{config.swap.claude_dir}/{LIVE}",)
    return config.swap.files if config.swap.method is Method.FILES else ()


def _credential_files(config: Config) -> Iterator[CredentialFile]:
    swap, names = config.swap, dict[str, None]()
    if swap.method is Method.CLAUDE:
        yield CredentialFile(str(PurePath(swap.claude_dir, LIVE)), ("swap", "claude_dir"))
        yield CredentialFile(str(PurePath(swap.claude_json)), ("swap", "claude_json"))
        names = dict.fromkeys(STORED)
    elif swap.method is Method.FILES:
        for i, file in enumerate(swap.files):
            if (name := os.path.basename(file)) not in {"", ".", ".."}:  # noqa: PTH119 - what is after the last slash
                yield CredentialFile(file, ("swap", "files", i))
                names[name] = None
    for i, account in enumerate(config.accounts):
        for name in names if account.store else ():
            for ending in ("", PREVIOUS):
                path = PurePath(account.store or "", name + ending)
                yield CredentialFile(str(path), ("accounts", i, "store"), account.name)


def _kept(folders: Iterable[Path]) -> Iterator[CredentialFile]:
    for folder in folders:
        try:
            names = sorted(os.listdir(folder))  # noqa: PTH208
        except OSError:
            continue
        yield from (CredentialFile(f"{folder}/{name}") for name in names)


class _Seen(Struct, frozen=True):
    """A name as it is on disk."""

    file: CredentialFile
    name: str  # its path, without the links of its folder
    real: str  # without links
    place: Place
    is_link: bool
    links: int  # hard links of the file; 0: there is no file


def _find(files: Iterable[CredentialFile]) -> Iterator[Clash]:
    """Clashes, one for each name too many. The name that stays is the file itself; a live one if there are several."""
    groups: dict[Place, list[_Seen]] = {}
    folders: dict[str, str] = {}
    for file in files:
        seen = _look(file, folders)
        groups.setdefault(seen.place, []).append(seen)
    for group in groups.values():
        if len(group) > 1:
            names = {seen.name for seen in group}
            first = min(group, key=lambda seen: (len(names.intersection(_way(seen.name))), seen.is_link))
            for seen in group:
                if seen is not first and (seen.file.key or first.file.key):
                    yield Clash(seen.file, first.file, _how(seen, first), dangling=not seen.links)


def _look(file: CredentialFile, folders: dict[str, str]) -> _Seen:
    """One `lstat`, unless the name is a link; ``folders`` remembers the folders without their links."""
    folder, _, base = file.path.rpartition("/")
    if folder not in folders:
        folders[folder] = os.path.realpath(folder or "/").rstrip("/")
    name = real = f"{folders[folder]}/{base}"
    is_link = False
    try:
        info = os.lstat(name)
        if is_link := stat.S_ISLNK(info.st_mode):
            real = os.path.realpath(name)
            info = os.lstat(real)
    except (OSError, ValueError):  # missing, or not for this user
        return _Seen(file, name, real, real, is_link, 0)
    if stat.S_ISLNK(info.st_mode):  # a circle of links ends nowhere
        return _Seen(file, name, real, name, is_link, 0)
    return _Seen(file, name, real, (info.st_dev, info.st_ino), is_link, info.st_nlink)


def _way(name: str) -> Iterator[str]:
    """The names that a link leads through, without the links of their folders; nothing for a file."""
    for _ in range(LONGEST_WAY):
        if not os.path.islink(name):  # noqa: PTH114
            return
        target = PurePath(name).parent / os.readlink(name)  # noqa: PTH115
        name = f"{os.path.realpath(target.parent).rstrip('/')}/{target.name}"
        yield name


def _how(seen: _Seen, first: _Seen) -> How:
    if seen.is_link:
        return How.LINKS if first.is_link else How.LINK
    if seen.real == first.real:
        return How.PATH
    return How.HARD if seen.links > 1 else How.MOUNT
