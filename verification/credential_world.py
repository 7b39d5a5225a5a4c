"""The fault lab's steps around credentials: what Claude Code, a person and the system do to the files of a swap."""

import json
import os
import shlex
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from functools import cache
from pathlib import Path
from threading import Timer
from typing import Any

from failover_oneshot.ctl.demo.sandbox import CTL, MARK, identity
from failover_oneshot.ctl.demo.server import Run
from tests.support.tmux_server import Server
from verification import agent
from verification.credential_model import law
from verification.world import LOST, World

REFUSED = frozenset({78})  # a layout that the program refuses
LINKS = ("live to store", "store to live", "hard link", "live to another store", "previous version")
ACTS = ("refresh", "revert", "revert and refresh")
LOCKS = (".claude/.oauth_refresh.lock", ".claude.lock", ".claude.json.lock")
NAMESPACES = (("unshare", "--mount"), ("unshare", "--user", "--map-root-user", "--mount"))


class CredentialWorld(World):
    """A world in which the files of a swap change as well."""

    def __init__(self, server: Server, folder: Path) -> None:
        super().__init__(server, folder)
        self.folder = folder
        self.files = False  # method files instead of claude; it has no locks and no identity
        self.by_hand = False  # a person logged in, and neither the credentials nor a swap says as whom
        self.named = "main"  # the account of the live identity, and of the one before
        self.before: str | None = None
        self.blank: str | None = None  # whose live credentials are blank
        self.dead: set[str] = set()  # the accounts of which a check has seen that
        self.locks = [self.sandbox.home / name for name in LOCKS]

    # -- steps: the installation ---------------------------------------------------------------------------------------

    def installation(self, method: str, uuid: bool) -> None:
        """Choose the swap method, and whether all credentials name their account."""
        self.files = method == "files"
        self.sandbox.config["swap"].update(method=method)
        if self.files:
            self.sandbox.config["swap"]["files"] = [str(self.sandbox.live_credentials)]
            self.sandbox.set_state(active_account="main")
        self.sandbox.save_config()
        if uuid:
            self._name(self.sandbox.live_credentials, "main")
            for account in self.credentials.accounts:
                self._name(self.sandbox.stored(account) / ".credentials.json", account)
            self.credentials.certain = set(self.credentials.accounts)

    # -- steps: Claude Code and a person -------------------------------------------------------------------------------

    def refresh(self) -> None:
        """The agent refreshes the live credentials, and breaks the locks of a killed check first."""
        agent.break_locks(self.locks)
        super().refresh()

    def log_in(self, account: str, uuid: bool = False) -> None:
        """A person logs in. With `uuid` the agent has fetched the profile, and the credentials name their account."""
        if self.state().get("swap_in_progress") or (self.files and not (uuid and self._all_named())):
            return  # files without a name belong to the account that should be live: nothing can know better
        super().log_in(account)
        self.credentials.certain.discard(account)
        if uuid:
            self._name(self.sandbox.live_credentials, account)
            self.credentials.certain.add(account)
        self.blank = None
        self.dead.discard(account)
        self.by_hand = not uuid
        self._noted()

    def blanked(self) -> None:
        """The service refuses the live credentials, and the agent blanks them."""
        owner = agent.whose(self.sandbox.live_credentials)
        if owner and not self._doubtful() and not self.by_hand and self._known(owner[0]):
            agent.blank(self.sandbox.live_credentials)
            self.credentials.given_up(owner[0])
            self.blank = owner[0]

    def _known(self, account: str) -> bool:
        """Whether blank credentials can be recognized as the account's: files without an id need a check before."""
        state = self.state()
        seen = {*state.get("lineage", {}).values(), state.get("active_account") if state.get("last_swap") else None}
        return not self.files or account in self.credentials.certain or account in seen

    def revert_identity(self, refresh: bool) -> None:
        """The agent writes the identity back that was live before the current one."""
        state, owner = self.state(), agent.whose(self.sandbox.live_credentials)
        certain = owner and owner[0] in self.credentials.certain
        known = certain or state.get("last_swap") or state.get("swap_in_progress")
        if self.files or self.by_hand or self.before is None or not known:
            return
        agent.revert(self.sandbox.settings, identity(self.before))
        self._noted()
        if refresh:
            self.refresh()

    def meanwhile(self, point: int, act: str) -> None:
        """Run a check; at its n-th point the agent refreshes its tokens or writes the identity from before back."""
        if "revert" in act and (self.by_hand or self.files):
            return
        program = self.folder / "meanwhile"
        lines = ["#!/bin/sh", *(shlex.join(self._command(name)) for name in act.split(" and "))]
        program.write_text("\n".join(lines) + "\n", encoding="utf-8")
        program.chmod(0o700)
        self._judged(lambda: self._at_point(f"{point}:{program}"))

    def _command(self, act: str) -> list[str]:
        """The command of `agent.py` for this act."""
        command: list[object] = [sys.executable, agent.__file__, act]
        if act == "refresh":
            locks = [] if self.files else self.locks[:2]
            command += [self.sandbox.live_credentials, self.folder / "issued", self.credentials.next(), *locks]
        else:
            command += [self.sandbox.settings, json.dumps(agent.read(self.sandbox.settings)[agent.IDENTITY])]
        return [str(word) for word in command]

    def corrupt(self, which: str, how: str) -> None:
        """Damage the state, but not while nothing else can know the owner of the live credentials."""
        if not self._doubtful():
            super().corrupt(which, how)

    def assign(self) -> None:
        """A person assigns all unclaimed credentials to the accounts that they belong to."""
        if self.state().get("swap_in_progress"):
            return
        for path in sorted((self.sandbox.state_file.parent / "unclaimed").glob("*.credentials.json")):
            if owner := agent.whose(path):
                argv = [*CTL, "accounts", "unclaimed", "assign", path.name, owner[0], *self.sandbox.flags()]
                done = self.sandbox.execute(argv)
                law("assign", done.returncode == 0, f"exit {done.returncode}: {done.stderr}")
                law("L4", MARK not in done.stdout + done.stderr, "a secret was printed")
                self.outcomes["assigned"] += 1

    # -- steps: the files ----------------------------------------------------------------------------------------------

    def half_written(self, which: str, milliseconds: int | None) -> None:
        """Run a check while a live file is half written; the rest comes after a time, or (None) after the check."""
        path = {"credentials": self.sandbox.live_credentials, "settings": self.sandbox.settings}[which]
        whole = path.read_bytes()
        half = whole[: len(whole) // 2]

        def complete() -> None:
            if path.read_bytes() == half:
                path.write_bytes(whole)

        def run() -> Run:
            path.write_bytes(half)
            timer = Timer((milliseconds or 0) / 1000, complete)
            if milliseconds is not None:
                timer.start()
            try:
                done = self._run()
            finally:
                timer.cancel()
                if milliseconds is not None:
                    timer.join()
            law("half", milliseconds is not None or path.read_bytes() == half, f"the half-written {path} was replaced")
            complete()
            return done

        self._judged(run)

    def linked(self, layout: str) -> None:
        """Link a live and a stored file, and run a check: it refuses. Then make the files separate again."""
        owner = agent.whose(self.sandbox.live_credentials)
        if owner is None:
            return
        other = next(name for name in self.credentials.accounts if name != owner[0])
        live, stored = self.sandbox.live_credentials, self.sandbox.stored(owner[0]) / ".credentials.json"
        link, target = {
            "live to store": (live, stored),
            "store to live": (stored, live),
            "hard link": (stored, live),
            "live to another store": (live, self.sandbox.stored(other) / ".credentials.json"),
            "previous version": (stored.with_name(stored.name + ".prev"), live),
        }[layout]
        contents = {path: path.read_bytes() if path.exists() else None for path in (link, target)}
        link.unlink(missing_ok=True)
        if layout in {"hard link", "previous version"}:
            os.link(target, link)
        else:
            link.symlink_to(target)
        try:
            self._refused()
        finally:
            link.unlink()
            for path, content in contents.items():
                if content is not None:
                    path.touch(mode=0o600)
                    path.write_bytes(content)

    def _refused(self) -> None:
        """Run a check that must refuse the layout and change nothing but the note in the state that it did."""
        before = self.sandbox.fingerprint()
        done = self._run()
        self.outcomes["refused"] += 1
        if done.returncode == LOST:  # reported first; the next check refuses
            self._forget()
            done = self._run()
        law("linked", done.returncode in REFUSED, f"exit {done.returncode}: {done.stderr}")
        law("L4", MARK not in done.stdout + done.stderr, "a secret was printed")
        after = self.sandbox.fingerprint()
        ours = {str(self.folder), str(self.sandbox.state_file.parent)}
        changed = {name for name in {*before, *after} - ours if before.get(name) != after.get(name)}
        changed -= {name for name in changed if Path(name).parent == self.sandbox.state_file.parent}
        law("linked", not changed, f"a refused check changed {changed}")

    def bind_mounted(self, which: str) -> None:
        """Run a check for which a file is a mount point, so that it cannot be replaced by a rename."""
        namespace = mount_namespace()
        if namespace is None:
            return
        path = {
            "credentials": self.sandbox.live_credentials,
            "settings": self.sandbox.settings,
            "store": self.sandbox.stored("backup") / ".credentials.json",
        }[which]
        script = 'mount --bind "$0" "$0" && exec "$@"'
        argv = [*namespace, "sh", "-c", script, str(path), *self.sandbox.argv("--json")]
        before = self._copies()
        self._judged(lambda: self.sandbox.execute(argv), REFUSED)
        if not self.state().get("swap_in_progress"):
            law("mount", self._copies() <= before, f"credentials were left in {self._copies() - before}")

    def locked_by_a_stranger(self, which: int, seconds: int) -> None:
        """Run a check beside a lock that nobody holds: a file is in it, and its time is that far from now."""
        lock, config = self.locks[which], self.sandbox.config["swap"]
        if lock.exists():
            return
        lock.mkdir(mode=0o755)
        (lock / "owner").write_text("1 somewhere\n", encoding="utf-8")
        then = time.time() + seconds
        os.utime(lock, (then, then))
        config["timeout"] = "30s"  # a lock with a time in the future must be left alone for a while
        self.sandbox.save_config()
        try:
            done = self._judged(self._run)
        finally:
            shutil.rmtree(lock, ignore_errors=True)
            config["timeout"] = "2s"
            self.sandbox.save_config()
        law("lock", done.returncode in {0, 65}, f"exit {done.returncode}: {done.stderr}")
        law("lock", not self.state().get("swap_in_progress"), "a lock that nobody holds stops the swap")

    # -- how it is done ------------------------------------------------------------------------------------------------

    def check(self) -> None:
        """Run an undisturbed check; after it, the state names the entries that only `unclaimed/` has."""
        super().check()
        known = self.state().get("unclaimed", {}).keys()
        for account, entries in self.credentials.unclaimed().items():
            law("unclaimed", entries & known, f"the state does not know {account}'s {entries}")

    def _judged(self, run: Callable[[], Run], codes: frozenset[int] = frozenset()) -> Run:
        owner = agent.whose(self.sandbox.live_credentials)
        done = super()._judged(run, codes)
        now = agent.whose(self.sandbox.live_credentials)
        swapped = now is not None and (owner is None or now[0] != owner[0])
        if self.blank and (swapped or (done.returncode == 0 and self.trail[-1][0] != "dry_run")):
            self.dead.add(self.blank)
        if swapped:
            self.by_hand, self.blank = False, None
        if done.returncode == LOST:
            self._forget()
        self._noted()
        return done

    def _forget(self) -> None:
        """The program has lost its state and said so."""
        self.answered.clear()
        self.credentials.state_lost()
        self.dead.clear()
        self.blank = None  # only the state knew whose they were

    def _justified(self, state: dict[str, Any], after: dict[str, Any], pids: Any) -> None:
        super()._justified(state, after, pids)
        journal = after.get("swap_in_progress") or after["last_swap"]
        law("L3", journal["to"] not in self.dead, f"a swap to {journal['to']}, whose credentials were given up")

    def _issued(self) -> bool:
        """Note what the agent refreshed during a check; whether it did."""
        path = self.folder / "issued"
        if not path.exists():
            return False
        for line in path.read_text(encoding="utf-8").splitlines():
            account, before, number = line.split()
            self.credentials.refreshed(account, int(before), int(number))
        path.unlink()
        return True

    def _noted(self) -> None:
        """Note the live identity; the one before is what an old copy of the settings has."""
        found = agent.read(self.sandbox.settings).get(agent.IDENTITY)
        name = next((name for name in self.credentials.accounts if found == identity(name)), None)
        if name and name != self.named:
            self.named, self.before = name, self.named

    def _doubtful(self) -> bool:
        """Whether the live credentials name no account, and the identity beside them is another one's."""
        owner = agent.whose(self.sandbox.live_credentials)
        return owner is not None and owner[0] not in self.credentials.certain and owner[0] != self.named

    def _all_named(self) -> bool:
        return self.credentials.certain == set(self.credentials.accounts)

    def _name(self, path: Path, account: str) -> None:
        """Let the credentials in a file name their account."""
        document = agent.read(path)
        document[agent.TOKENS]["accountUuid"] = identity(account)["accountUuid"]
        self.sandbox.write(path, document)

    def _copies(self) -> set[Path]:
        """The files in Claude Code's folder that hold a secret, but for the live one."""
        found = {
            path for path in self.sandbox.claude.iterdir() if path.is_file() and MARK.encode() in path.read_bytes()
        }
        return found - {self.sandbox.live_credentials}


@cache
def mount_namespace() -> tuple[str, ...] | None:
    """The command that runs another one in a mount namespace of its own; None when this system allows none."""
    for command in NAMESPACES:
        probe = [*command, "mount", "--bind", "/", "/mnt"]
        try:
            if subprocess.run(probe, capture_output=True, check=False).returncode == 0:
                return command
        except FileNotFoundError:
            return None
    return None
