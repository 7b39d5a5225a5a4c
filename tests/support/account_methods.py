"""Sandboxes with two accounts for each swap method, and processes that die or fail at their n-th change on disk."""

import errno
import json
import os
import shutil
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from failover_oneshot.accounts import registry
from failover_oneshot.accounts.registry import MethodError
from failover_oneshot.config.model import Account, Config, Method, Swap
from failover_oneshot.config.values import Duration
from failover_oneshot.ctl.demo import sandbox
from failover_oneshot.lib import atomicfile
from failover_oneshot.state.model import State

CHANGES = ("open", "write", "fsync", "replace", "rename", "link", "mkdir", "rmdir", "unlink", "utime", "fchmod")


def login(account: str, generation: int = 1, **extra: Any) -> dict[str, Any]:
    return {**sandbox.credentials(account, generation), **extra}


def whose(refresh_token: str) -> tuple[str, int]:
    """The account of a refresh token, and its generation."""
    account, _, generation = refresh_token.removeprefix(sandbox.MARK).rsplit("-", 2)
    return account, int(generation)


def identity(account: str) -> dict[str, Any]:
    return {**sandbox.identity(account), "displayName": "Ünï"}


def write(path: Path, value: Any, indent: int | None = None) -> None:
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    path.write_bytes(json.dumps(value, ensure_ascii=False, indent=indent).encode())
    path.chmod(0o600)


def load(path: Path) -> Any:
    return json.loads(path.read_bytes())


def instead(path: Path, make: Callable[[Path], object]) -> None:
    """Replace a file or folder by what `make` creates."""
    shutil.rmtree(path) if path.is_dir() else path.unlink()
    make(path)


class MethodSandbox:
    """A home with the accounts main (live, generation 2, its store one behind) and backup (generation 1)."""

    name: Method

    def __init__(self, home: Path, timeout: float = 20) -> None:
        self.home = home
        home.mkdir(parents=True, exist_ok=True)
        self.state_folder = home / "state"
        self.unclaimed = self.state_folder / "unclaimed"
        self.main, self.backup = self.account("main"), self.account("backup")
        self.config = Config(
            accounts=(self.main, self.backup), swap=Swap(method=self.name, timeout=Duration(timeout), **self.swap())
        )

    def swap(self) -> dict[str, Any]:
        return {}

    def account(self, name: str) -> Account:
        return Account(name=name, store=str(self.stored(name)))

    def stored(self, name: str) -> Path:
        return self.home / "stores" / name

    def method(self, lineage: dict[str, str] | None = None) -> registry.SwapMethod:
        return registry.method(self.config, self.state_folder, State(lineage=lineage or {}))

    def live(self) -> dict[str, bytes]:
        """The content of the live files by name, for comparisons."""
        return {}

    def refresh(self) -> None:
        """Refresh the token of the live account, as a running agent does."""

    def locked(self) -> bool:
        """Whether a lock is held that keeps a running agent from refreshing its token."""
        return False

    def generation(self, path: Path) -> tuple[str, int]:
        """The account of the credentials in a file, and their generation."""
        raise KeyError(path)

    def credentials(self) -> tuple[Path, str] | None:
        """The live file with the refresh token, and its name in a store; None without one."""
        return None

    def agent_refreshes(self) -> None:
        """Refresh as a running agent does, and note which credentials are the newest from now on."""
        if (place := self.credentials()) and not self.locked():
            self.refresh()
            name, generation = self.generation(place[0])
            write(self.home / "issued", {**self.issued(), name: generation})

    def issued(self) -> dict[str, int]:
        """The newest generation of each account's credentials."""
        path = self.home / "issued"
        return {"main": 2, "backup": 1, **(load(path) if path.exists() else {})}

    def assert_nothing_lost(self) -> None:
        """Assert that each account's newest credentials are live or in its store."""
        if place := self.credentials():
            found = {self.generation(path) for path in (place[0], *(self.stored(n) / place[1] for n in self.issued()))}
            assert found >= set(self.issued().items())

    def assert_live(self, name: str) -> None:
        """Assert that the account is live and that each account's newest credentials are in their place."""

    def assert_tidy(self) -> None:
        """Assert that no lock folder is left and that all files are private."""
        for path in self.home.rglob("*"):
            assert not path.name.endswith(".lock") or path.is_file(), path
            if path.is_file() and not path.is_symlink():
                assert not path.stat().st_mode & 0o077, path

    def journal(self) -> dict[str, Any]:
        path = self.home / "journal"
        return load(path) if path.exists() else {"step": "save_back", "note": {}}

    def run(self, outgoing: Account, incoming: Account, before: Callable[[str], None] = lambda _: None) -> None:
        """Run the swap from the step in the journal on, as `swap/runner.py` does; `before` is called before each."""
        method = self.method()
        step = self.journal()["step"]
        before("exclusive")
        with method.exclusive(self.config.swap.timeout):
            try:
                if step == "save_back":
                    before("save_back")
                    method.save_back(outgoing, {})
                    before("prepare")
                    note = dict(method.prepare(incoming))
                    step = self.write("install", note)
                note = self.journal()["note"]
                if step == "install":
                    before("install")
                    method.install(incoming, note)
                    step = self.write("verify", note)
                before("verify")
                method.verify(incoming)
                before("release")
            except MethodError:
                if step != "save_back":
                    before("undo")
                    method.undo(outgoing, note)
                    self.write("save_back", {})
                raise
        before("end")
        self.write("save_back", {})

    def write(self, step: str, note: dict[str, str]) -> str:
        atomicfile.write_atomic(self.home / "journal", json.dumps({"step": step, "note": note}).encode())
        return step


class ClaudeSandbox(MethodSandbox):
    name = Method.CLAUDE

    def __init__(self, home: Path, timeout: float = 20) -> None:
        super().__init__(home, timeout)
        self.folder, self.settings = home / ".claude", home / ".claude.json"
        for name in ("main", "backup"):
            self.store(name)
        self.log_in("main", 2)

    def swap(self) -> dict[str, Any]:
        return {"claude_dir": str(self.home / ".claude"), "claude_json": str(self.home / ".claude.json")}

    def store(self, name: str, generation: int = 1, **extra: Any) -> None:
        write(self.stored(name) / ".credentials.json", login(name, generation, **extra))
        write(self.stored(name) / "oauthAccount.json", identity(name))

    def log_in(self, name: str, generation: int = 1, **extra: Any) -> None:
        """Log in as the operator does with `/login`."""
        write(self.folder / ".credentials.json", {"mcpOAuth": {"x": 1.50}, **login(name, generation, **extra)})
        write(self.settings, {"numStartups": 7, "oauthAccount": identity(name), "projects": {"/ä": []}}, indent=2)

    def live(self) -> dict[str, bytes]:
        return {p.name: p.read_bytes() for p in (self.folder / ".credentials.json", self.settings)}

    def refresh(self) -> None:
        path = self.folder / ".credentials.json"
        document = load(path)
        name, generation = self.generation(path)
        atomicfile.write_atomic(path, json.dumps({**document, **login(name, generation + 1)}).encode())

    def locked(self) -> bool:
        return (self.folder / ".oauth_refresh.lock").exists()

    def credentials(self) -> tuple[Path, str] | None:
        return self.folder / ".credentials.json", ".credentials.json"

    def generation(self, path: Path) -> tuple[str, int]:
        return whose(load(path)["claudeAiOauth"]["refreshToken"])

    def assert_live(self, name: str) -> None:
        document, settings = load(self.folder / ".credentials.json"), load(self.settings)
        assert (
            document["claudeAiOauth"]
            == login(name, self.generation(self.folder / ".credentials.json")[1])["claudeAiOauth"]
        )
        assert settings["oauthAccount"] == identity(name)
        assert document["mcpOAuth"] == {"x": 1.5}
        assert list(settings) == ["numStartups", "oauthAccount", "projects"]
        for other in ("main", "backup"):
            assert self.generation(self.stored(other) / ".credentials.json")[0] == other
            assert load(self.stored(other) / "oauthAccount.json") == identity(other)


class FilesSandbox(MethodSandbox):
    """Two files: one with credentials that do not name their account, one without credentials."""

    name = Method.FILES

    def __init__(self, home: Path, timeout: float = 20) -> None:
        super().__init__(home, timeout)
        for name in ("main", "backup"):
            self.put(self.stored(name), name, 1)
        self.put(home / "live", "main", 2)

    def swap(self) -> dict[str, Any]:
        return {"files": (str(self.home / "live" / "auth.json"), str(self.home / "live" / "who"))}

    def put(self, folder: Path, name: str, generation: int) -> None:
        write(folder / "auth.json", {"tokens": {"refresh_token": sandbox.refresh_token(name, generation)}})
        write(folder / "who", f"{name} {generation}")

    def live(self) -> dict[str, bytes]:
        return {p.name: p.read_bytes() for p in (self.home / "live" / "auth.json", self.home / "live" / "who")}

    def refresh(self) -> None:
        path = self.home / "live" / "auth.json"
        name, generation = self.generation(path)
        token = sandbox.refresh_token(name, generation + 1)
        atomicfile.write_atomic(path, json.dumps({"tokens": {"refresh_token": token}}).encode())

    def credentials(self) -> tuple[Path, str] | None:
        return self.home / "live" / "auth.json", "auth.json"

    def generation(self, path: Path) -> tuple[str, int]:
        return whose(load(path)["tokens"]["refresh_token"])

    def assert_live(self, name: str) -> None:
        assert self.generation(self.home / "live" / "auth.json")[0] == name
        assert load(self.home / "live" / "who").startswith(name)
        for other in ("main", "backup"):
            assert self.generation(self.stored(other) / "auth.json")[0] == other
            assert load(self.stored(other) / "who").startswith(other)


class EnvSandbox(MethodSandbox):
    name = Method.ENV

    def account(self, name: str) -> Account:
        path = self.home / f"{name}.env"
        path.write_text(f"TOKEN=fake-{name}\n")
        path.chmod(0o600)
        return Account(name=name, env={"WHO": name}, env_file=str(path))


class CommandSandbox(MethodSandbox):
    """A program as a careful operator writes it: it copies to a new file, then renames it."""

    name = Method.COMMAND

    def __init__(self, home: Path, timeout: float = 20) -> None:
        super().__init__(home, timeout)
        for name in ("main", "backup"):
            write(self.stored(name) / "login", name)
        write(home / "login", "main")

    def swap(self) -> dict[str, Any]:
        script = (
            "import os, shutil, sys; home, old, new = sys.argv[1:]; "
            "shutil.copy(f'{home}/stores/{new}/login', f'{home}/login.new'); "
            "os.replace(f'{home}/login.new', f'{home}/login')"
        )
        return {"command": (sys.executable, "-S", "-c", script, str(self.home), "{from}", "{to}")}

    def live(self) -> dict[str, bytes]:
        return {"login": (self.home / "login").read_bytes()}

    def assert_live(self, name: str) -> None:
        assert load(self.home / "login") == name


SANDBOXES = {sandbox.name: sandbox for sandbox in (ClaudeSandbox, FilesSandbox, EnvSandbox, CommandSandbox)}


def forked(work: Callable[[], None], prepare: Callable[[], None] = lambda: None) -> int:
    """Run `work` in a forked process; its exit code: 0 done, 1 MethodError, 2 another error, 3 an error with a secret.

    A killed process gives -9.
    """
    pid = os.fork()
    if pid == 0:
        status = 2
        try:
            prepare()
            work()
            status = 0
        except MethodError as error:
            status = 3 if sandbox.MARK in str(error) else 1
        finally:
            os._exit(status)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def dying_at(number: int) -> Callable[[], None]:
    """A function that prepares a process to be killed just before its n-th change to the file system."""
    return lambda: _count(number, lambda: os.kill(os.getpid(), signal.SIGKILL), once=True)


def interrupted_at(
    number: int, act: Callable[[], None], without: Callable[[str, Any], bool] = lambda *_: False
) -> Callable[[], None]:
    """A function that prepares a process so that `act` happens just before its n-th change to the file system.

    ``without``: the calls, by name and arguments, before which it does not happen.
    """
    return lambda: _count(number, act, once=True, without=without)


def failing_at(number: int, error: int = errno.ENOSPC, *, once: bool) -> Callable[[], None]:
    """A function that prepares a process so that its n-th change to the file system fails, or all from then on."""

    def fail() -> None:
        raise OSError(error, os.strerror(error))

    return lambda: _count(number, fail, once=once)


def _count(
    number: int,
    then: Callable[[], None],
    *,
    once: bool,
    seen: dict[str, int] | None = None,
    without: Callable[[str, Any], bool] = lambda *_: False,
) -> None:
    count = {"n": 0} if seen is None else seen

    def counted(name: str, real: Callable[..., Any], opens: bool) -> Callable[..., Any]:
        def call(*args: Any, **kwargs: Any) -> Any:
            if not opens or args[1] & os.O_CREAT:
                count["n"] += 1
                due = count["n"] == number or (count["n"] > number and not once)
                if due and not without(name, args):
                    then()
            return real(*args, **kwargs)

        return call

    for name in CHANGES:
        setattr(os, name, counted(name, getattr(os, name), name == "open"))


def count_changes(work: Callable[[], None]) -> int:
    """How many changes to the file system `work` makes, counted in a forked process."""
    read, write = os.pipe()

    seen = {"n": 0}

    def prepare() -> None:
        _count(-1, lambda: None, once=True, seen=seen)

    def report() -> None:
        work()
        with os.fdopen(write, "w") as pipe:
            pipe.write(str(seen["n"]))

    assert forked(report, prepare) == 0
    os.close(write)
    with os.fdopen(read) as pipe:
        return int(pipe.read())
