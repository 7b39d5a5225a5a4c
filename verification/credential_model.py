"""The fault lab's model of credentials: which are the newest of each account, where they may be, and law L2.

The tokens of a sandbox name their account and their number, so the model can judge every file. What it knows of the
program is little: credentials that name their account (`accountUuid`) have a certain owner and go to its store; others
may also be kept in `unclaimed/` or as a generation.
"""

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from failover_oneshot.ctl.demo.sandbox import Sandbox, refresh_token
from verification import agent

TOKEN = re.compile(rb'"fake-(\w+)-refresh-(\d+)"')


class ViolationError(AssertionError):
    """A law was broken."""


def law(name: str, held: object, what: str) -> None:
    """Raise ViolationError unless `held` is true."""
    if not held:
        raise ViolationError(f"{name}: {what}")


class CredentialModel:
    """The newest credentials of each account, by number."""

    def __init__(self, sandbox: Sandbox, accounts: Sequence[str]) -> None:
        self.sandbox = sandbox
        self.accounts = tuple(accounts)
        self.newest = dict.fromkeys(accounts, 1) | {accounts[0]: 2}
        self.number = 2  # of the last refresh or log-in of any account
        self.used_up = {(accounts[0], 1)}  # the refresh tokens that no longer work
        self.certain: set[str] = set()  # accounts whose newest credentials name their account
        self.excused: set[str] = set()  # accounts of which a lost state no longer knows that they are in doubt

    # -- what happens to credentials -----------------------------------------------------------------------------------

    def next(self) -> int:
        """The number of the next refresh or log-in."""
        self.number += 1
        return self.number

    def refreshed(self, account: str, before: int, number: int) -> None:
        """A refresh has used up one refresh token and issued another. A log-in uses up none."""
        self.used_up.add((account, before))
        self.issued(account, number)

    def issued(self, account: str, number: int) -> None:
        """These are the account's newest credentials from now on."""
        self.newest[account] = number
        self.excused.discard(account)

    def overwritten(self, account: str) -> None:
        """A person's log-in is about to replace the account's live credentials: what else exists is the newest."""
        if account in self.newest:
            places = [p for p in self._places(account, self._files()) if p != self.sandbox.live_credentials]
            self.newest[account] = max(n for p in places for name, n in _tokens(p.read_bytes()) if name == account)
            self.used_up = {token for token in self.used_up if token[0] != account}  # the person lost what works

    def given_up(self, account: str) -> None:
        """The service has refused the account's credentials: none of them is worth keeping."""
        self.newest.pop(account, None)

    def state_lost(self) -> None:
        """The state was lost, and with it the record of what is unclaimed."""
        self.excused = set(self.newest) - self.certain

    # -- the law -------------------------------------------------------------------------------------------------------

    def check(self) -> None:
        """Check law L2 and its neighbors."""
        files = self._files()
        roles = _by_inode(path for path in files if self._has_role(path))
        for account, number in self.newest.items():
            token = f'"{refresh_token(account, number)}"'.encode()
            found = [path for path, text in files.items() if token in text]
            law("L2", found, f"the newest credentials of {account} ({number}) are lost")
            right = [path for path in self._places(account, files) if path in found]
            law("L2", right, f"the newest credentials of {account} ({number}) are only in {_names(found)}")
            alone = [path for path in right if len(roles[_inode(path)]) == 1]
            law("L2", alone, f"the newest credentials of {account} have no file of their own: {_names(right)}")
        for account in self.accounts:
            for path, text in files.items():
                if self._is_kept_for(account, path):
                    foreign = {name for name, _ in _tokens(text)} - {account}
                    law("L2", not foreign, f"credentials of {foreign} are in {path}, which is {account}'s")
        live = agent.whose(self.sandbox.live_credentials)
        if live and live[0] in self.newest.keys() - self.excused:
            newest = self.newest[live[0]]
            works = live not in self.used_up
            law("L2", works, f"{live[0]}'s live credentials are {live[1]}, used up: the newest are {newest}")

    def unclaimed(self) -> dict[str, set[str]]:
        """The ids of the unclaimed entries with an account's newest credentials, if no other file has them."""
        files, found = self._files(), {}
        for account in self.newest.keys() - self.excused:
            newest = (account, self.newest[account])
            places = [path for path in self._places(account, files) if newest in _tokens(files[path])]
            if all(path.parent == self._beside("unclaimed") for path in places):
                found[account] = {path.name.partition(".")[0] for path in places}
        return found

    def _files(self) -> dict[Path, bytes]:
        """Every file of the sandbox with its content."""
        found = {}
        for path in self.sandbox.folder.rglob("*"):
            try:
                if path.is_file():
                    found[path] = path.read_bytes()
            except FileNotFoundError:  # tmux removes its files when it likes
                continue
        return found

    def _places(self, account: str, files: Mapping[Path, bytes]) -> list[Path]:
        """The files in which the account's newest credentials may be."""
        places = {self.sandbox.live_credentials, self.sandbox.stored(account) / ".credentials.json"}
        if account not in self.certain:
            folders = {self._beside("unclaimed"), self._beside("generations") / account}
            places |= {path for path in files if path.parent in folders}
        return [path for path in places if path in files]

    def _beside(self, name: str) -> Path:
        return self.sandbox.state_file.parent / name

    def _is_kept_for(self, account: str, path: Path) -> bool:
        return path.is_relative_to(self.sandbox.stored(account)) or path.parent == self._beside("generations") / account

    def _has_role(self, path: Path) -> bool:
        """Whether the file has a place in a swap: live, stored, unclaimed or a generation."""
        folders = (self.sandbox.stored("main").parent, self._beside("unclaimed"), self._beside("generations"))
        return path == self.sandbox.live_credentials or any(path.is_relative_to(folder) for folder in folders)


def _tokens(text: bytes) -> list[tuple[str, int]]:
    """The account and the number of each refresh token in a file."""
    return [(name.decode(), int(number)) for name, number in TOKEN.findall(text)]


def _inode(path: Path) -> tuple[int, int]:
    info = path.stat()
    return info.st_dev, info.st_ino


def _by_inode(paths: Iterable[Path]) -> Mapping[tuple[int, int], list[Path]]:
    found: defaultdict[tuple[int, int], list[Path]] = defaultdict(list)
    for path in paths:
        found[_inode(path)].append(path)
    return found


def _names(paths: Iterable[Path]) -> str:
    return ", ".join(str(path) for path in paths)
