"""A throwaway installation for `failoverctl demo`: a home, two fake accounts, a configuration, its own tmux server.

All of it is below one folder, and every program in it runs in an environment that knows no other home, tmux or login.
"""

import json
import os
import shlex
import shutil
import signal
import stat
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from failover_oneshot.errors import EXIT_FAILED, EXIT_UNAVAILABLE, FailoverError

ACCOUNTS = ("main", "backup")
POOL = ("ccl-auto-11", "ccl-auto-12", "ccl-auto-13")
MANUAL = "ccl-0"
_SOCKET_BYTES = 100  # a socket's path holds 107 at most on Linux, 103 elsewhere

CONFIG = """\
# The configuration of a `failoverctl demo`.
accounts:
  - {{name: main, store: {main}}}
  - {{name: backup, store: {backup}}}
swap:
  claude_dir: {claude_dir}
  claude_json: {claude_json}
pool:
  autonomous:
    prefix: ccl-auto-
    start_index: 11
    max: 3
    command: {command}
tmux:
  socket_path: {socket}
"""


class DemoError(FailoverError):
    """The demo can not go on; the sentence says why."""

    exit_code = EXIT_FAILED


class UnavailableError(DemoError):
    """There is no tmux, or it does not start."""

    exit_code = EXIT_UNAVAILABLE


class World:
    """The installation in `folder`.

    `check` is the program to run as failover-check, with its arguments; `patience`, in seconds, how long any one thing
    may take. `left` is whether anything was left when it was taken away, None while it stands.
    """

    def __init__(self, folder: Path, check: list[str], patience: float) -> None:
        self.folder = folder
        self.home = folder / "home"
        self.socket = folder / "tmux"
        self.config_file = folder / "failover.yaml"
        self.state_file = folder / "state" / "state.json"
        self.quota = folder / "quota.json"
        self.log = folder / "messages"
        self.live = self.home / ".claude/.credentials.json"
        self.settings = self.home / ".claude.json"
        package = str(Path(__file__).parents[3])
        keep = {name: os.environ[name] for name in ("PATH", "LD_LIBRARY_PATH", "TMPDIR") if name in os.environ}
        own = {"HOME": str(self.home), "SHELL": "/bin/sh", "LC_ALL": "C.UTF-8", "TERM": "xterm", "TZ": "UTC"}
        self.environ = {**keep, **own, "PYTHONPATH": package}
        self.patience = patience
        self.left: bool | None = None
        self._check = check

    # -- setting up ----------------------------------------------------------------------------------------------------

    def build(self) -> None:
        """Write everything but the sessions. Main's live login was refreshed since it was stored."""
        (self.home / "work").mkdir(parents=True)
        for account in ACCOUNTS:
            _private(self.store(account) / ".credentials.json", credentials(account))
            _private(self.store(account) / "oauthAccount.json", identity(account))
        machine = {"mcpOAuth": {"a-server": {"accessToken": "fake-of-the-machine"}}}
        _private(self.live, {**credentials("main", number=2), **machine})
        _private(self.settings, {"numStartups": 7, "oauthAccount": identity("main")})
        self.quota.write_text("{}")
        self.log.touch()
        names = {
            **{account: str(self.store(account)) for account in ACCOUNTS},
            "claude_dir": str(self.live.parent),
            "claude_json": str(self.settings),
            "command": self.agent("go on with the work of {name}"),
            "socket": str(self.socket),
        }
        self.config_file.write_text(CONFIG.format(**{name: json.dumps(value) for name, value in names.items()}))

    def store(self, account: str) -> Path:
        """The folder that holds the account's login while it is not active."""
        return self.home / ".claude-accounts" / account

    def agent(self, prompt: str) -> str:
        """The shell command of a stand-in that begins with that prompt."""
        return shlex.join(
            [
                sys.executable,
                "-m",
                "failover_oneshot.fake_agent",
                "--quota",
                str(self.quota),
                "--log",
                str(self.log),
                prompt,
            ]
        )

    def start(self, name: str) -> None:
        """Make a session with a stand-in in it."""
        self.tmux("new-session", "-d", "-s", name, "-x", "80", "-y", "24", "-c", str(self.home / "work"),
                  self.agent(f"begin the work of {name}"))  # fmt: skip

    def exhaust(self, account: str, until: datetime) -> None:
        """From now on the stand-ins are told that the account's quota is used up."""
        self.quota.write_text(json.dumps({account: until.isoformat()}))

    # -- running -------------------------------------------------------------------------------------------------------

    def tmux(self, *arguments: str, timeout: float | None = None) -> str:
        """Run one command on our server; its output without the last line break."""
        try:
            done = subprocess.run(
                ["tmux", "-u", "-S", str(self.socket), "-f", "/dev/null", *arguments],
                env=self.environ, cwd=self.home, stdin=subprocess.DEVNULL, capture_output=True,
                encoding="utf-8", errors="replace", timeout=timeout or self.patience, check=False,
            )  # fmt: skip
        except subprocess.TimeoutExpired:
            raise DemoError(f"tmux {arguments[0]} did not answer in time") from None
        except OSError as error:
            raise UnavailableError(f"tmux can not be run: {error.strerror}") from None
        if done.returncode:
            raise DemoError(f"tmux {arguments[0]} failed: {' '.join(done.stderr.split()) or done.returncode}")
        return done.stdout.removesuffix("\n")

    def type(self, name: str, prompt: str) -> None:
        """Type a prompt into a session's agent, and Enter."""
        self.tmux("send-keys", "-t", f"={name}:", "-l", prompt)
        self.tmux("send-keys", "-t", f"={name}:", "Enter")

    def check(self, *flags: str) -> "subprocess.CompletedProcess[str]":
        """Run failover-check as the timer would: a process of its own, which is told nothing but its files."""
        argv = [*self._check, "--config", str(self.config_file), "--state", str(self.state_file), *flags]
        try:
            return subprocess.run(
                argv, env=self.environ, cwd=self.home, stdin=subprocess.DEVNULL, capture_output=True,
                encoding="utf-8", errors="replace", timeout=self.patience, check=False,
            )  # fmt: skip
        except subprocess.TimeoutExpired:
            raise DemoError(f"the check did not end within {self.patience:.0f} s") from None
        except OSError as error:
            raise DemoError(f"the check can not be run: {error.strerror}") from None

    # -- looking -------------------------------------------------------------------------------------------------------

    def pids(self) -> dict[str, int]:
        """Each session's process."""
        listing = self.tmux("list-panes", "-a", "-F", "#{session_name} #{pane_pid}")
        return {name: int(pid) for name, pid in (line.split() for line in listing.splitlines())}

    def screen(self, name: str) -> str:
        """What a session shows."""
        return self.tmux("capture-pane", "-p", "-t", f"={name}:")

    def messages(self, **wanted: str) -> list[dict[str, Any]]:
        """What the stand-ins sent: the records with these values, from their log."""
        records = [json.loads(line) for line in self.log.read_text(encoding="utf-8").splitlines()]
        return [r for r in records if all(r[name] == value for name, value in wanted.items())]

    def state(self) -> dict[str, Any]:
        """The state file, empty when there is none."""
        value = read_json(self.state_file)
        return value if isinstance(value, dict) else {}

    def secrets(self) -> list[Path]:
        """Every file that holds a login or the state, as far as it exists."""
        folders = (self.home / ".claude-accounts", self.live.parent, self.state_file.parent)
        return [self.settings, *(path for folder in folders for path in files(folder))]

    def leftovers(self) -> list[str]:
        """Locks and temporaries: what a finished check must not leave (its own lock file stays, unlocked)."""
        own = f"{self.state_file.name}.lock"
        found = [
            path for path in self.folder.rglob("*") if path.name.endswith((".lock", ".tmp")) or "-tmp-" in path.name
        ]
        return sorted(str(path.relative_to(self.folder)) for path in found if path.name != own)

    def fingerprint(self) -> Mapping[str, object]:
        """Every file below the folder by content, mode, time and inode, and every pane."""
        found: dict[str, object] = {
            "panes": self.tmux("list-panes", "-a", "-F", "#{session_id} #{pane_id} #{pane_pid}")
        }
        for path in (self.folder, *self.folder.rglob("*")):
            info = path.lstat()
            if not stat.S_ISSOCK(info.st_mode):  # tmux marks on its socket whether somebody is attached
                content = path.read_bytes() if stat.S_ISREG(info.st_mode) else b""
                found[str(path)] = (content, info.st_mode, info.st_mtime_ns, info.st_ino)
        return found

    def live_account(self) -> str | None:
        """The account whose identity is live, None when the live credentials are another's."""
        login, settings = read_json(self.live) or {}, read_json(self.settings) or {}
        token = login.get("claudeAiOauth", {}).get("accessToken", "")
        named = (a for a in ACCOUNTS if settings.get("oauthAccount") == identity(a) and token.startswith(f"fake-{a}-"))
        return next(named, None)

    def reached(self, condition: Callable[[], object]) -> bool:
        """Poll until the condition holds; whether it did in time."""
        deadline = time.monotonic() + self.patience
        while not condition():
            if time.monotonic() > deadline:
                return False
            time.sleep(0.02)
        return True

    def wait(self, what: str, condition: Callable[[], object]) -> None:
        """Poll until the condition holds; DemoError when it did not in time."""
        if not self.reached(condition):
            raise DemoError(f"waited {self.patience:.0f} s in vain for this: {what}")

    # -- the end -------------------------------------------------------------------------------------------------------

    def end(self) -> None:
        """Kill the server and all that runs in it, and remove the folder."""
        with suppress(DemoError):
            self.tmux("kill-server", timeout=5)
        for number in (0, signal.SIGKILL):  # first they may leave by themselves
            deadline = time.monotonic() + 5
            while (left := self._processes()) and time.monotonic() < deadline:
                for pid in left:
                    with suppress(OSError):
                        os.kill(pid, number)
                time.sleep(0.01)
        shutil.rmtree(self.folder, ignore_errors=True)
        self.left = bool(left) or self.folder.exists()

    def _processes(self) -> list[int]:
        """The processes whose home is ours: the server, the agents, a check. Without /proc none is found."""
        mark = b"HOME=" + os.fsencode(self.home)
        found = []
        for entry in Path("/proc").glob("[0-9]*"):
            with suppress(OSError):  # gone, or another user's
                if mark in (entry / "environ").read_bytes().split(b"\0"):
                    found.append(int(entry.name))
        return found


@contextmanager
def world(check: list[str], patience: float, *, keep: bool) -> Iterator[World]:
    """A world that ends with the block, whatever happens in it; `keep`: unless it was interrupted."""
    if shutil.which("tmux") is None:
        raise UnavailableError("tmux is not installed: apt install tmux")
    folder = Path(tempfile.mkdtemp(prefix="failover-demo-"))
    if len(os.fsencode(folder / "tmux")) > _SOCKET_BYTES:  # a long TMPDIR
        folder.rmdir()
        folder = Path(tempfile.mkdtemp(prefix="failover-demo-", dir="/tmp"))
    made = World(folder.resolve(), check, patience)
    stay = False
    try:
        yield made
        stay = keep
    except Exception:
        stay = keep
        raise
    finally:
        if not stay:
            with _undisturbed():
                made.end()


@contextmanager
def _undisturbed() -> Iterator[None]:
    """A second Ctrl-C must not stop the cleaning up."""
    numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    before = {number: signal.signal(number, signal.SIG_IGN) for number in numbers}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def credentials(account: str, number: int = 1) -> dict[str, Any]:
    """A `.credentials.json` that is obviously fake; the number tells how often it was refreshed."""
    expires = datetime.now(UTC) + timedelta(hours=4 + 4 * number)
    tokens = {"accessToken": f"fake-{account}-{number}", "refreshToken": f"fake-{account}-refresh-{number}"}
    return {"claudeAiOauth": {**tokens, "expiresAt": int(expires.timestamp() * 1000), "scopes": ["user:inference"]}}


def identity(account: str) -> dict[str, str]:
    """An `oauthAccount` block that is obviously fake."""
    return {"accountUuid": f"fake-uuid-of-{account}", "emailAddress": f"{account}@example.invalid"}


def read_json(path: Path) -> Any:
    """The file's value, None when it can not be read."""
    try:
        return json.loads(path.read_bytes())
    except (OSError, ValueError):
        return None


def files(folder: Path) -> list[Path]:
    """The regular files below the folder."""
    return [path for path in sorted(folder.rglob("*")) if path.is_file() and not path.is_symlink()]


def _private(path: Path, value: object) -> None:
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    path.touch(mode=0o600)
    path.write_text(json.dumps(value, indent=2) + "\n", encoding="utf-8")
