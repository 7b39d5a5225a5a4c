"""A private tmux server for a test: its own socket and no configuration, sessions that show a given screen.

`FAILOVER_TEST_TMUX` names another tmux binary, to run the tests with another version.
"""

import os
import shlex
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from failover_oneshot.config import model
from failover_oneshot.model import Session
from failover_oneshot.tmux.client import Control
from failover_oneshot.tmux.formats import Row
from tests.support.polling import poll

BINARY = os.environ.get("FAILOVER_TEST_TMUX", "tmux")


class Server:
    """tmux on a socket of its own. Nothing runs until the first session is made."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.socket = folder / "s"
        self.home = folder / "home"
        self.home.mkdir()
        self.environ = {
            "PATH": os.environ["PATH"],
            "HOME": str(self.home),
            "SHELL": "/bin/sh",
            "LC_ALL": "C",
            "TERM": "xterm",
        }
        self._screens = 0

    def config(self, *, binary: str = BINARY, timeout: float = 10.0) -> model.Tmux:
        return model.Tmux(binary=binary, socket_path=str(self.socket), timeout=model.Duration(timeout))

    def control(self, *, binary: str = BINARY, timeout: float = 10.0) -> Control:
        return Control(self.config(binary=binary, timeout=timeout), self.environ)

    def tmux(self, *arguments: str, **variables: str) -> str:
        """Run one command by hand; its output without the last line break. Fails the test when tmux does."""
        done = self._run(arguments, variables, "")
        assert done.returncode == 0, f"{arguments}: {done.stderr}"
        return done.stdout.removesuffix("\n")

    def messages(self) -> str:
        """tmux's own log, with every command that it ran; only an attached client can ask for it."""

        def shown() -> str:  # the end of its input makes the client leave, at times before the answer
            log = self._run(["-C", "attach-session"], {}, "show-messages\n").stdout
            return log if "command: show-messages" in log else ""

        return poll(shown)

    def _run(
        self, arguments: Sequence[str], variables: Mapping[str, str], stdin: str
    ) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [BINARY, "-u", "-S", str(self.socket), "-f", "/dev/null", *arguments],
            env={**self.environ, **variables},
            cwd=self.home,
            input=stdin,
            capture_output=True,
            text=True,
            timeout=30,
            check=False,
        )

    def start(self, name: str, *command: str, width: int = 80, height: int = 24, folder: Path | None = None) -> None:
        """A session; without a command one that stays and shows nothing."""
        place = ["-c", str(folder)] if folder else []
        size = ["-x", str(width), "-y", str(height)]
        self.tmux("new-session", "-d", "-s", name, *size, *place, *(command or ("exec sleep 600",)))

    def screen_command(self, text: str) -> str:
        """A shell command that shows `text`, a line to each row, and stays."""
        self._screens += 1
        file = self.folder / f"screen-{self._screens}"
        file.write_text(text.removesuffix("\n"), encoding="utf-8")
        return f"cat {shlex.quote(str(file))}; exec sleep 600"

    def show(self, name: str, text: str, *, width: int = 80, height: int = 24) -> None:
        """A session that shows `text`; back when the last line of it is on the screen."""
        self.start(name, self.screen_command(text), width=width, height=height)
        last = text.rsplit(maxsplit=1)[-1]
        poll(lambda: last in self.tmux("capture-pane", "-p", "-J", "-t", f"={name}:"))

    def names(self) -> set[str]:
        return {row.session_name for row in self.control().rows() or ()}

    def row(self, name: str) -> Row:
        """The first pane of a session."""
        return next(row for row in self.control().rows() or () if row.session_name == name)

    def sessions(self, pool: model.Pool) -> tuple[Session, ...]:
        return self.control().observe(pool, capture=False).sessions

    def write_wrapper(self, body: str) -> str:
        """A program for `tmux.binary`, written in sh; "$@" are tmux's arguments and $tmux the real one."""
        wrapper = self.folder / "wrapper"
        wrapper.write_text(f"#!/bin/sh\ntmux={shlex.quote(BINARY)}\n{body}\n")
        wrapper.chmod(0o755)
        return str(wrapper)

    def server_pid(self) -> int:
        return int(self.tmux("display-message", "-p", "#{pid}"))


# A disk in memory, for tests with thousands of fsyncs: a SIGKILL loses nothing there that it would not lose elsewhere.
MEMORY = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None


@contextmanager
def private_server() -> Iterator[Server]:
    """A private tmux server, killed afterwards with all that it started."""
    folder = Path(tempfile.mkdtemp(prefix="ft-"))  # not tmp_path: a socket's path has at most 107 bytes
    try:
        yield Server(folder)
    finally:
        _reap(folder)
        shutil.rmtree(folder, ignore_errors=True)


def _reap(folder: Path) -> None:
    """Kill the server, whoever started it, and what runs in its panes or its home; wait until that is gone."""
    home, socket = b"HOME=" + os.fsencode(folder / "home"), os.fsencode(folder / "s")

    def belongs(process: Path) -> bool:
        environ = (process / "environ").read_bytes().split(b"\0")
        in_pane = any(variable.startswith(b"TMUX=" + socket + b",") for variable in environ)
        return home in environ or in_pane or socket in (process / "cmdline").read_bytes().split(b"\0")

    def ours() -> list[int]:
        found = []
        for process in Path("/proc").glob("[0-9]*"):
            with suppress(OSError):
                if belongs(process):
                    found.append(int(process.name))
        for pid in found:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        return found

    poll(lambda: not ours(), seconds=60)
