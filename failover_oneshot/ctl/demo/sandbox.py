"""A throwaway installation: a home, fake accounts, a configuration, a state and a private tmux server.

Its programs run in an environment without any other home, tmux server or credentials. `failoverctl demo` runs in one;
the tests, the benchmarks and the verification programs build on it.
"""

import json
import shutil
import signal
import stat
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import yaml

from failover_oneshot.ctl.demo.agents import FakeAgents
from failover_oneshot.ctl.demo.server import DemoError, Run, Server, UnavailableError, execute, new_folder

ACCOUNTS = ("main", "backup")
CHECK = (sys.executable, "-m", "failover_oneshot")
CTL = (sys.executable, "-m", "failover_oneshot.ctl")
MARK = "fake-"  # in every secret of a sandbox, and in nothing else
FOREVER = 4_000_000_000_000  # milliseconds since 1970: no token of a sandbox expires before
MACHINE = {"mcpOAuth": {"server": {"accessToken": "fake-of-the-machine"}}}  # a swap must not change it


def credentials(account: str, generation: int = 1) -> dict[str, Any]:
    """The fake contents of a `.credentials.json`; ``generation``: how often its tokens were refreshed."""
    return {
        "claudeAiOauth": {
            "accessToken": f"fake-{account}-{generation}",  # the fake agent reads its account from here
            "refreshToken": refresh_token(account, generation),
            "expiresAt": FOREVER + generation,
            "scopes": ["user:inference"],
            "subscriptionType": "max",
        },
        "trustedDeviceToken": f"fake-{account}-device",
    }


def refresh_token(account: str, generation: int = 1) -> str:
    """The refresh token in those credentials."""
    return f"fake-{account}-refresh-{generation}"


def identity(account: str) -> dict[str, Any]:
    """A fake `oauthAccount` block."""
    return {"accountUuid": f"00000000-0000-0000-0000-{account:0>12}", "emailAddress": f"{account}@example.invalid"}


def read_json(path: Path) -> Any:
    """The file's value, None if it cannot be read or parsed."""
    try:
        return json.loads(path.read_bytes())
    except (OSError, ValueError):
        return None


class Sandbox:
    """An installation in ``folder`` with sessions on ``server``; the folder may be the server's own.

    The first of ``accounts`` is live, with credentials refreshed since they were stored. ``program`` runs as
    failover-check. ``config`` may be changed until it is written.
    """

    def __init__(
        self, folder: Path, server: Server, accounts: Sequence[str] = ACCOUNTS, program: Sequence[str] = CHECK
    ) -> None:
        self.folder, self.server, self.accounts, self.program = folder, server, tuple(accounts), tuple(program)
        self.home = folder / "home"
        self.claude, self.settings = self.home / ".claude", self.home / ".claude.json"
        self.live_credentials = self.claude / ".credentials.json"
        self.config_file, self.state_file = folder / "failover.yaml", folder / "state" / "state.json"
        self.agents = FakeAgents(
            claude_dir=self.claude, claude_json=self.settings, quota=folder / "quota.json", log=folder / "messages"
        )
        for account in self.accounts:
            self.store(account)
        self.log_in(self.accounts[0], generation=2)
        self.config: dict[str, Any] = {
            "accounts": [{"name": name, "store": str(self.stored(name))} for name in self.accounts],
            "swap": {"claude_dir": str(self.claude), "claude_json": str(self.settings)},
            "pool": {"autonomous": {"prefix": "ccl-auto-", "start_index": 11, "max": 3}},
            "tmux": {"socket_path": str(server.socket), "timeout": "1m"},  # a busy machine must not fail a check
        }

    # -- files ---------------------------------------------------------------------------------------------------------

    def write(self, path: Path, value: object) -> None:
        """Write a private JSON file; a folder created for it is private too."""
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        path.touch(mode=0o600)
        path.chmod(0o600)
        path.write_text(json.dumps(value, indent=2) + "\n", encoding="utf-8")

    def stored(self, account: str) -> Path:
        """The account's store."""
        return self.home / ".claude-accounts" / account

    def store(self, account: str, generation: int = 1) -> None:
        """Write the account's credentials to its store."""
        self.write(self.stored(account) / ".credentials.json", credentials(account, generation))
        self.write(self.stored(account) / "oauthAccount.json", identity(account))

    def log_in(self, account: str, generation: int = 1) -> None:
        """Make the account live, as Claude Code does when a person logs in; the machine's own entries stay."""
        self.write(self.live_credentials, {**credentials(account, generation), **MACHINE})
        self.write(self.settings, {"numStartups": 7, "oauthAccount": identity(account), "projects": {}})

    def live_account(self) -> str | None:
        """The account that both the live credentials and the live identity belong to; None if they differ."""
        live, settings = read_json(self.live_credentials) or {}, read_json(self.settings) or {}
        token, named = live.get("claudeAiOauth", {}).get("accessToken", ""), settings.get("oauthAccount")
        ours = (name for name in self.accounts if named == identity(name) and token.startswith(f"fake-{name}-"))
        return next(ours, None)

    def save_config(self) -> None:
        """Write the configuration if the file does not have it already."""
        text = yaml.dump(self.config, Dumper=_Plain, sort_keys=False, allow_unicode=True)
        if not self.config_file.exists() or self.config_file.read_text(encoding="utf-8") != text:
            self.config_file.parent.mkdir(parents=True, exist_ok=True)
            self.config_file.write_text(text, encoding="utf-8")

    def state(self) -> dict[str, Any]:
        """The contents of the state file; empty if there is none."""
        value = read_json(self.state_file)
        return value if isinstance(value, dict) else {}

    def fingerprint(self) -> Mapping[str, object]:
        """All panes, and every file below the folder with its contents, mode, time and inode, for comparison."""
        panes = self.server.tmux("list-panes", "-a", "-F", "#{session_name} #{session_id} #{pane_id} #{pane_pid}")
        found: dict[str, object] = {"panes": panes}
        for path in (self.folder, *self.folder.rglob("*")):
            info = path.lstat()
            if not stat.S_ISSOCK(info.st_mode):  # tmux changes its socket's mode when a tmux client attaches
                content = path.read_bytes() if stat.S_ISREG(info.st_mode) else b""
                found[str(path)] = (content, info.st_mode, info.st_mtime_ns, info.st_ino)
        return found

    # -- programs ------------------------------------------------------------------------------------------------------

    def environ(self, **changes: str) -> dict[str, str]:
        """The complete environment of a program in the sandbox."""
        return {**self.server.environ, "HOME": str(self.home), **changes}

    def flags(self, *more: str) -> list[str]:
        """The arguments that name the configuration and the state, followed by ``more``."""
        return ["--config", str(self.config_file), "--state", str(self.state_file), *more]

    def argv(self, *flags: str) -> list[str]:
        """The command line of failover-check in the sandbox."""
        return [*self.program, *self.flags(*flags)]

    def run(self, *flags: str, **environ: str) -> Run:
        """Run failover-check in a separate process, as the timer does; write the configuration first if needed.

        Raises DemoError if it cannot be run or does not finish in time.
        """
        if not self.config_file.exists():
            self.save_config()
        try:
            return self.execute(self.argv(*flags), **environ)
        except subprocess.TimeoutExpired:
            raise DemoError(f"the check did not finish within {self.server.patience:.0f} s") from None
        except OSError as error:
            raise DemoError(f"cannot run the check: {error.strerror}") from None

    def execute(self, argv: Sequence[str], stdin: str = "", **environ: str) -> Run:
        """Run any program in the sandbox, whatever its exit code. Raises OSError and TimeoutExpired."""
        return execute(argv, self.environ(**environ), self.home, stdin, self.server.patience)


@contextmanager
def throwaway(program: Sequence[str], patience: float, *, keep: bool) -> Iterator[Sandbox]:
    """A sandbox that is removed at the end of the block; with ``keep`` only if the block was interrupted."""
    if shutil.which("tmux") is None:
        raise UnavailableError("tmux is not installed; run `sudo apt install tmux`")
    server = Server(new_folder("failover-demo-"), patience=patience)
    stay = False
    try:
        yield Sandbox(server.folder, server, program=program)
        stay = keep
    except Exception:
        stay = keep
        raise
    finally:
        if not stay:
            with _undisturbed():
                server.end()


@contextmanager
def _undisturbed() -> Iterator[None]:
    """Ignore signals within the block: a second Ctrl-C must not stop the cleanup."""
    numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    before = {number: signal.signal(number, signal.SIG_IGN) for number in numbers}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


class _Plain(yaml.SafeDumper):
    """A YAML dumper without anchors: each value is written in full where it is used."""

    def ignore_aliases(self, data: Any) -> bool:  # noqa: ARG002
        return True
