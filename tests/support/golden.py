"""The installation in which the golden files are recorded: throwaway files, a private tmux server, both programs.

The programs run as subprocesses. Nothing of the package is imported here, so that moving a module has no effect.
"""

import fcntl
import json
import os
import re
import secrets
import shutil
import subprocess
import sys
import tempfile
import textwrap
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from tests.support.paths import ROOT
from tests.support.polling import poll

TMUX = os.environ.get("FAILOVER_TEST_TMUX", "tmux")
HIT = (ROOT / "tests/panes/quota/hit-5h-2h-80x24.txt").read_text(encoding="utf-8")
OK = (ROOT / "tests/panes/ok/ok-80x24.txt").read_text(encoding="utf-8")
VAGUE = "error: usage limit reached"  # a hit without a reset
POOL = ("ccl-auto-11", "ccl-auto-12", "ccl-auto-13")
MODULES = {"failover-check": "failover_oneshot", "failoverctl": "failover_oneshot.ctl"}
FAR = 4_000_000_000_000  # milliseconds since 1970: a token that does not expire

# What differs between runs or machines; the first pattern that matches wins.
VARYING = [
    (r"(?<=hit your 5-hour)[^\n…]*…$", "…"),
    (r"\b\d{8}T\d{6}-[0-9a-f]{8}\b", "<task>"),
    (r"\b\d{8}T\d{6}Z", "<time>"),
    (r"\b\d{4}-\d\d-\d\d[T ]\d\d:\d\d(:\d\d(\.\d+)?)?(Z|\+00:00)?", "<time>"),
    (r"\b([A-Z][a-z]{2} \d{1,2} )?\d\d:\d\d(Z| UTC)", "<time>"),
    (r"\b\d{1,2}(:\d\d)?[ap]m\b", "<clock>"),
    (r"\b[\d.]+m?s ago\b|\b(\d+[dhms])+ ago\b|\bjust now\b", "<ago>"),
    (r'(\d+[dhm]){1,3}\d+[hms]\b|(?<=[\s("])\d+[dhms](?=[\s,;.):])', "<duration>"),
    (r"\b\d+ ms\b|(?<=\bfor )[\d.]+m?s\b", "<duration>"),
    (r'("(?:\w+_ms|\w+_in|pid|left|seconds)": )[\d.]+', r"\1<number>"),
    (r'(?<="folder": ")[^"]+', "<folder>"),
    (r"\b\d+/\d+/\d{19}\b", "<signature>"),
    (r"\b[0-9a-f]{16}:[0-9a-f]{32}\b|(?<=screen:)[0-9a-f]{12}:[0-9a-f]{12}\b", "<digest>"),
    (r"\btmux (next-)?\d+\.\d+\w*", "tmux <version>"),
    (r"^(failover-check|failoverctl) \d[\w.]*$", r"\1 <version>"),
]
LAID_OUT = {"--help", "init"}  # laid out for 80 columns, without a varying value
FLOWING = {"history", "replay"}  # wrapped text, in which a varying value moves all later line breaks


def stamp(**delta: float) -> str:
    """The instant at that distance from now, in the state's format."""
    return f"{datetime.now(UTC) + timedelta(**delta):%Y-%m-%dT%H:%M:%SZ}"


def hit(**delta: float) -> str:
    """The recorded screen of a 5-hour hit, its reset moved to that distance from now."""
    then = f"{datetime.now(UTC) + timedelta(**(delta or {'hours': 2})):%-I:%M%p}".lower()
    return HIT.replace("12:20pm", then)


def pretty(text: str, otherwise: Callable[[str], str]) -> str:
    """A JSON object with one key on each line, in the program's order; `otherwise(text)` for any other text."""
    try:
        value = json.loads(text)
    except ValueError:
        return otherwise(text)
    return json.dumps(value, indent=2, ensure_ascii=False) + "\n"


def unwrapped(text: str) -> str:
    """The text without the line breaks and the padding that depend on the width of a varying value."""
    return re.sub(r"(?<=\S) {2,}(?=\S)", "  ", re.sub(r"\n {9,}(?=\S)", " ", text))


def flowing(text: str) -> str:
    """The text without what varies, wrapped again at 100 columns."""
    return textwrap.fill(plain(" ".join(text.split())), 100, break_long_words=False, break_on_hyphens=False) + "\n"


def plain(text: str) -> str:
    """The text without what varies, except for paths."""
    for pattern, name in VARYING:
        text = re.sub(pattern, name, text, flags=re.MULTILINE)
    return text


class RecordedSandbox:
    """An installation, and the record of the commands that ran in it."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.home, self.socket = folder, folder / "home", folder / "s"
        self.claude = self.home / ".claude"
        self.state_file, self.config_file = folder / "state/state.json", folder / "failover.yaml"
        self.spool = folder / "spool"
        self.record: list[str] = []
        self.claude.mkdir(parents=True)
        self.claude.chmod(0o700)
        self._programs()
        for account in ("main", "backup"):
            self.store(account)
        self.log_in("main", generation=2)  # refreshed since it was stored
        self.config = self._config()

    def _programs(self) -> None:
        """Make a PATH with only these programs: systemctl is missing, because its answer depends on the machine."""
        (self.folder / "bin").mkdir()
        for name, program in (("tmux", TMUX), *((name, name) for name in ("cat", "rmdir", "sh", "sleep"))):
            (self.folder / "bin" / name).symlink_to(shutil.which(program) or f"/bin/{name}")

    def _config(self) -> dict[str, Any]:
        return {
            "accounts": [{"name": n, "store": str(self.stored(n))} for n in ("main", "backup")],
            "swap": {"claude_dir": str(self.claude), "claude_json": str(self.home / ".claude.json")},
            "pool": {
                "autonomous": {"prefix": "ccl-auto-", "start_index": 11, "max": 10},
                "dedicated": [{"name": "ops"}],
            },
            "tmux": {"socket_path": str(self.socket)},
            "state": {"path": str(self.state_file)},
        }

    # --- files ---------------------------------------------------------------------------------------------------

    def stored(self, account: str) -> Path:
        return self.home / ".claude-accounts" / account

    def store(self, account: str) -> None:
        self.write(self.stored(account) / ".credentials.json", login(account, 1))
        self.write(self.stored(account) / "oauthAccount.json", identity(account))

    def log_in(self, account: str, generation: int = 1) -> None:
        """Make that account the live one, as Claude Code does."""
        self.write(self.claude / ".credentials.json", login(account, generation))
        self.write(self.home / ".claude.json", {"numStartups": 7, "oauthAccount": identity(account)})

    def write(self, path: Path, value: Any) -> None:
        """Write a private file: a text as it is, anything else as JSON."""
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        path.write_text(value if isinstance(value, str) else json.dumps(value, indent=2), encoding="utf-8")
        path.chmod(0o600)

    def state(self) -> Any:
        return json.loads(self.state_file.read_bytes())

    def set_state(self, **changes: Any) -> None:
        """Change keys of the state file, for cases that need another time or history."""
        self.write(self.state_file, {**(self.state() if self.state_file.exists() else {"version": 1}), **changes})

    # --- sessions ------------------------------------------------------------------------------------------------

    def environ(self, **changes: str) -> dict[str, str]:
        """All environment variables of the programs and the server; none come from the caller."""
        return {
            "PATH": str(self.folder / "bin"), "HOME": str(self.home), "SHELL": "/bin/sh", "TERM": "xterm", "TZ": "UTC",
            "LANG": "C.UTF-8", "NO_COLOR": "1", "COLUMNS": "80", "PYTHONPATH": str(ROOT),
            "FAILOVER_CONFIG": str(self.config_file), **changes,
        }  # fmt: skip

    def tmux(self, *arguments: str) -> str:
        command = [str(self.folder / "bin/tmux"), "-u", "-S", str(self.socket), "-f", "/dev/null", *arguments]
        env = self.environ()
        return subprocess.run(command, env=env, cwd=self.home, capture_output=True, text=True, check=True).stdout

    def show(self, text: str, *names: str) -> None:
        """Start sessions that show a screen; return when all of them show it."""
        for name in names:
            screen = self.folder / f"{name}.screen"
            screen.write_text(text.removesuffix("\n"), encoding="utf-8")
            size = ("-x", "80", "-y", "24")
            self.tmux("new-session", "-d", "-s", name, *size, f"cat {screen}; exec sleep 600")
        self.settled()

    def settled(self) -> None:
        """Wait until each session has printed its whole screen."""
        poll(lambda: set(self.tmux("list-panes", "-a", "-F", "#{pane_current_command}").split()) <= {"sleep"})

    # --- the record ----------------------------------------------------------------------------------------------

    def check(self, *arguments: str, **changes: Any) -> None:
        self.run("failover-check", *arguments, **changes)

    def ctl(self, *arguments: str, **changes: Any) -> None:
        self.run("failoverctl", *arguments, **changes)

    def run(self, program: str, *arguments: str, stdin: str = "") -> str:
        """Run a program, and record all of its output."""
        if not self.config_file.exists():
            self.write(self.config_file, self.config)
        command = [sys.executable, "-m", MODULES[program], *arguments]
        return self.execute(command, " ".join([program, *arguments]), stdin)

    def shell(self, script: str, said: str) -> str:
        """Run a shell command, and record all of its output."""
        return self.execute(["/bin/sh", "-c", script], said, "")

    def execute(self, command: list[str], said: str, stdin: str) -> str:
        done = subprocess.run(
            command, env=self.environ(), cwd=self.home, input=stdin, capture_output=True, text=True, check=False
        )
        self.note(plain(f"$ {said}"), "")
        for name, text in (("stdout", done.stdout), ("stderr", done.stderr)):
            if text:
                otherwise = flowing if FLOWING & set(command) else unwrapped
                self.note(f"--- {name}", text if LAID_OUT & set(command) else plain(pretty(text, otherwise)))
        self.note(f"--- exit {done.returncode}", "")
        return done.stdout

    def quietly(self, program: str, *arguments: str) -> str:
        """Run a program without recording it, because another case does."""
        kept = len(self.record)
        out = self.run(program, *arguments)
        del self.record[kept:]
        return out

    def show_state(self) -> None:
        """Record the content of the state file."""
        self.note("--- the state file", plain(pretty(self.state_file.read_text(encoding="utf-8"), unwrapped)))

    def note(self, head: str, text: str) -> None:
        self.record.append(f"{head}\n{text}" if not text or text.endswith("\n") else f"{head}\n{text}\n")

    def recorded(self) -> str:
        """The record, with names instead of this machine's paths."""
        text = "".join(self.record)
        places = {str(self.folder): "<lab>", str(Path(sys.executable).parent): "<bin>", str(ROOT): "<project>"}
        for place, name in places.items():
            text = text.replace(place, name)
        return text

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Hold the lock, as another check does."""
        with Path(f"{self.state_file}.lock").open("ab") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield


def login(account: str, generation: int) -> dict[str, Any]:
    """Fake credentials in the format of Claude Code's .credentials.json."""
    return {
        "claudeAiOauth": {
            "accessToken": f"FAKE-access-{account}-{generation}",
            "refreshToken": f"FAKE-refresh-{account}-{generation}",
            "expiresAt": FAR + generation,
            "scopes": ["user:inference"],
            "subscriptionType": "max",
        },
        "trustedDeviceToken": f"FAKE-device-{account}",
    }


def identity(account: str) -> dict[str, Any]:
    return {"accountUuid": f"00000000-0000-0000-0000-{account:0>12}", "emailAddress": f"{account}@example.invalid"}


def new_folder() -> Path:
    """A folder whose path always has the same length, because the length decides where lines break."""
    root = tempfile.gettempdir()
    root = root if len(root) <= len("/dev/shm") else "/tmp"
    while True:
        folder = Path(root, f"fg-{secrets.token_hex()}"[: len("/tmp/fg-xxxxxxxx") - len(f"{root}/")])
        with suppress(FileExistsError):
            folder.mkdir(mode=0o700)
            return folder


@contextmanager
def throwaway_sandbox() -> Iterator[RecordedSandbox]:
    """A sandbox that is removed afterwards with its server; not in tmp_path: a socket's path has at most 107 bytes."""
    folder = new_folder()
    sandbox = RecordedSandbox(folder)
    try:
        yield sandbox
    finally:
        subprocess.run([TMUX, "-S", str(sandbox.socket), "kill-server"], capture_output=True, check=False)
        shutil.rmtree(folder, ignore_errors=True)
