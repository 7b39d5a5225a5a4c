"""A private tmux server of a sandbox: a socket of its own, no configuration, and nothing left of it at the end."""

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

PACKAGE = Path(__file__).parents[3]  # the folder that the package lies in
_KEPT = ("PATH", "LD_LIBRARY_PATH", "TMPDIR")  # of the caller's environment
_SOCKET_BYTES = 100  # a socket's path holds 107 at most on Linux, 103 elsewhere

Run = subprocess.CompletedProcess[str]


class DemoError(FailoverError):
    """The demo can not go on; the sentence says why."""

    exit_code = EXIT_FAILED


class UnavailableError(DemoError):
    """There is no tmux, or it does not start."""

    exit_code = EXIT_UNAVAILABLE


def environment(home: Path) -> dict[str, str]:
    """The whole environment of a program in a sandbox: it knows no other home, tmux server or login."""
    kept = {name: os.environ[name] for name in _KEPT if name in os.environ}
    own = {"HOME": str(home), "SHELL": "/bin/sh", "LC_ALL": "C.UTF-8", "TERM": "xterm", "TZ": "UTC"}
    return {**kept, **own, "PYTHONPATH": str(PACKAGE)}


def new_folder(prefix: str) -> Path:
    """A new folder for temporary files whose name is short enough for a socket in it."""
    folder = Path(tempfile.mkdtemp(prefix=prefix)).resolve()
    if len(os.fsencode(folder / "tmux")) > _SOCKET_BYTES:  # a long TMPDIR
        folder.rmdir()
        folder = Path(tempfile.mkdtemp(prefix=prefix, dir="/tmp")).resolve()
    return folder


def execute(
    argv: Sequence[str], environ: Mapping[str, str], folder: Path, stdin: str = "", timeout: float = 120.0
) -> Run:
    """Run a program in that folder to its end, its output captured; `timeout` in seconds.

    OSError and TimeoutExpired are the caller's.
    """
    return subprocess.run(
        argv, env=environ, cwd=folder, input=stdin, capture_output=True, encoding="utf-8", errors="replace",
        timeout=timeout, check=False,
    )  # fmt: skip


class Server:
    """tmux on a socket in `folder`, with a home beside it. Nothing runs until the first session is made.

    `binary` is the tmux to run; `patience`, in seconds, how long any one of its commands may take.
    """

    def __init__(self, folder: Path, *, binary: str = "tmux", patience: float = 30.0) -> None:
        self.folder, self.home, self.socket = folder, folder / "home", folder / "tmux"
        self.binary, self.patience = binary, patience
        self.home.mkdir()
        self.environ = environment(self.home)
        self.gone = False  # whether it was ended, and nothing of it is left

    def tmux(self, *arguments: str, **variables: str) -> str:
        """Run one command; its output without the last line break. DemoError when it fails."""
        done = self.run(*arguments, **variables)
        if done.returncode:
            raise DemoError(f"tmux {arguments[0]} failed: {' '.join(done.stderr.split()) or done.returncode}")
        return done.stdout.removesuffix("\n")

    def run(self, *arguments: str, stdin: str = "", **variables: str) -> Run:
        """Run one command, whatever its exit code. UnavailableError without tmux, DemoError when it hangs."""
        argv = [self.binary, "-u", "-S", str(self.socket), "-f", "/dev/null", *arguments]
        try:
            return execute(argv, {**self.environ, **variables}, self.home, stdin, self.patience)
        except subprocess.TimeoutExpired:
            raise DemoError(f"tmux {arguments[0]} did not answer in time") from None
        except OSError as error:
            raise UnavailableError(f"tmux can not be run: {error.strerror}") from None

    def start(self, name: str, *command: str, width: int = 80, height: int = 24, folder: Path | None = None) -> None:
        """Make a session; without a command one that stays and shows nothing."""
        place = ["-c", str(folder)] if folder else []
        size = ["-x", str(width), "-y", str(height)]
        self.tmux("new-session", "-d", "-s", name, *size, *place, *(command or ("exec sleep 600",)))

    def type(self, name: str, prompt: str) -> None:
        """Type a prompt into a session's agent, and Enter."""
        self.tmux("send-keys", "-t", f"={name}:", "-l", prompt)
        self.tmux("send-keys", "-t", f"={name}:", "Enter")

    def screen(self, name: str, *flags: str) -> str:
        """What a session shows."""
        return self.tmux("capture-pane", "-p", *flags, "-t", f"={name}:")

    def pids(self) -> dict[str, int]:
        """Each session's process."""
        listing = self.tmux("list-panes", "-a", "-F", "#{session_name} #{pane_pid}")
        return {name: int(pid) for name, pid in (line.split() for line in listing.splitlines())}

    def reached(self, condition: Callable[[], object]) -> bool:
        """Poll until the condition holds; whether it did within our patience."""
        deadline = time.monotonic() + self.patience
        while not condition():
            if time.monotonic() > deadline:
                return False
            time.sleep(0.02)
        return True

    def end(self) -> None:
        """Kill the server, whoever started it, and what runs in its panes or its home; then remove the folder.

        Without /proc only the server is found, and what it ends itself.
        """
        ended = self.reached(lambda: not self._kill())
        with suppress(DemoError):
            self.run("kill-server")
        shutil.rmtree(self.folder, ignore_errors=True)
        self.gone = ended and not self.folder.exists()

    def _kill(self) -> list[int]:
        """SIGKILL for all that is ours; who that was."""
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
