"""A sandbox's private tmux server: a separate socket, no configuration, and removed completely at the end."""

import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from failover_oneshot.errors import EXIT_FAILED, EXIT_UNAVAILABLE, FailoverError
from failover_oneshot.lib import procfs

PACKAGE = Path(__file__).parents[3]  # the folder that contains the package
_KEPT = ("PATH", "LD_LIBRARY_PATH", "TMPDIR")  # of the caller's environment
_SOCKET_BYTES = 100  # the path of a socket has at most 107 bytes on Linux, 103 elsewhere

Run = subprocess.CompletedProcess[str]


class DemoError(FailoverError):
    """The demo cannot continue; the message says why."""

    exit_code = EXIT_FAILED


class UnavailableError(DemoError):
    """tmux is not installed or does not start."""

    exit_code = EXIT_UNAVAILABLE


def environment(home: Path) -> dict[str, str]:
    """The complete environment of a program in a sandbox, without any other home, tmux server or credentials."""
    kept = {name: os.environ[name] for name in _KEPT if name in os.environ}
    own = {"HOME": str(home), "SHELL": "/bin/sh", "LC_ALL": "C.UTF-8", "TERM": "xterm", "TZ": "UTC"}
    return {**kept, **own, "PYTHONPATH": str(PACKAGE)}


def new_folder(prefix: str) -> Path:
    """Create a temporary folder whose path is short enough for a socket in it."""
    folder = Path(tempfile.mkdtemp(prefix=prefix)).resolve()
    if len(os.fsencode(folder / "tmux")) > _SOCKET_BYTES:  # a long TMPDIR
        folder.rmdir()
        folder = Path(tempfile.mkdtemp(prefix=prefix, dir="/tmp")).resolve()
    return folder


def execute(
    argv: Sequence[str], environ: Mapping[str, str], folder: Path, stdin: str = "", timeout: float = 120.0
) -> Run:
    """Run a program in the folder and capture its output; ``timeout`` in seconds.

    Raises OSError and TimeoutExpired.
    """
    return subprocess.run(
        argv, env=environ, cwd=folder, input=stdin, capture_output=True, encoding="utf-8", errors="replace",
        timeout=timeout, check=False,
    )  # fmt: skip


class Server:
    """tmux on a socket in ``folder``, with a home beside it. The first `start` starts the server.

    ``binary``: the tmux program. ``patience``: seconds that one command may take.
    """

    def __init__(self, folder: Path, *, binary: str = "tmux", patience: float = 30.0) -> None:
        self.folder, self.home, self.socket = folder, folder / "home", folder / "tmux"
        self.binary, self.patience = binary, patience
        self.home.mkdir()
        self.environ = environment(self.home)
        self.gone = False  # whether the server has ended and its folder is removed

    def tmux(self, *arguments: str, **variables: str) -> str:
        """Run one command and return its output without the last line break. Raises DemoError if it fails."""
        done = self.run(*arguments, **variables)
        if done.returncode:
            raise DemoError(f"tmux {arguments[0]} failed: {' '.join(done.stderr.split()) or done.returncode}")
        return done.stdout.removesuffix("\n")

    def run(self, *arguments: str, stdin: str = "", **variables: str) -> Run:
        """Run one command, whatever its exit code. Raises UnavailableError without tmux, DemoError on a timeout."""
        argv = [self.binary, "-u", "-S", str(self.socket), "-f", "/dev/null", *arguments]
        try:
            return execute(argv, {**self.environ, **variables}, self.home, stdin, self.patience)
        except subprocess.TimeoutExpired:
            raise DemoError(f"tmux {arguments[0]} did not answer within {self.patience:.0f} s") from None
        except OSError as error:
            raise UnavailableError(f"cannot run tmux: {error.strerror}") from None

    def start(self, name: str, *command: str, width: int = 80, height: int = 24, folder: Path | None = None) -> None:
        """Create a session; without a command, one that stays open with an empty screen."""
        place = ["-c", str(folder)] if folder else []
        size = ["-x", str(width), "-y", str(height)]
        self.tmux("new-session", "-d", "-s", name, *size, *place, *(command or ("exec sleep 600",)))

    def type(self, name: str, prompt: str) -> None:
        """Type a prompt into a session's agent, and Enter."""
        self.tmux("send-keys", "-t", f"={name}:", "-l", prompt)
        self.tmux("send-keys", "-t", f"={name}:", "Enter")

    def screen(self, name: str, *flags: str) -> str:
        """The screen of a session."""
        return self.tmux("capture-pane", "-p", *flags, "-t", f"={name}:")

    def pids(self) -> dict[str, int]:
        """The process ID of each session's pane."""
        listing = self.tmux("list-panes", "-a", "-F", "#{session_name} #{pane_pid}")
        return {name: int(pid) for name, pid in (line.split() for line in listing.splitlines())}

    def reached(self, condition: Callable[[], object]) -> bool:
        """Poll until the condition holds. Returns whether it did within ``patience``."""
        deadline = time.monotonic() + self.patience
        while not condition():
            if time.monotonic() > deadline:
                return False
            time.sleep(0.02)
        return True

    def end(self) -> None:
        """Kill the server, whoever started it, and all programs in its panes or its home; then remove the folder.

        Without /proc, only the server is killed, with the programs that end with it.
        """
        ended = self.reached(lambda: not self._kill())
        with suppress(DemoError):
            self.run("kill-server")
        shutil.rmtree(self.folder, ignore_errors=True)
        self.gone = ended and not self.folder.exists()

    def _kill(self) -> list[int]:
        """Send SIGKILL to the sandbox's processes and return their IDs."""
        found = [pid for pid in procfs.pids() if self._is_ours(pid)]
        for pid in found:
            with suppress(OSError):
                os.kill(pid, signal.SIGKILL)
        return found

    def _is_ours(self, pid: int) -> bool:
        environ = procfs.environ(pid)
        home, pane = environ.get("HOME"), environ.get("TMUX", "")
        named = os.fsencode(self.socket) in (procfs.arguments(pid) or ())
        return named or home == str(self.home) or pane.startswith(f"{self.socket},")
