"""A private tmux server for tests: sessions that show a given screen, and what the program reads of them.

Set `FAILOVER_TEST_TMUX` to another tmux binary to run the tests with another version.
"""

import os
import shlex
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from failover_oneshot.config import model, values
from failover_oneshot.ctl.demo import server
from failover_oneshot.model import Session
from failover_oneshot.tmux.client import TmuxControl
from failover_oneshot.tmux.formats import PaneRow
from tests.support.polling import poll

BINARY = os.environ.get("FAILOVER_TEST_TMUX", "tmux")


class Server(server.Server):
    """The sandbox's server in the locale C, which knows only ASCII, as under a timer without a locale."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder, binary=BINARY, patience=120)
        self.environ["LC_ALL"] = "C"
        self._screens = 0

    def config(self, *, binary: str = BINARY, timeout: float = 60.0) -> model.Tmux:
        return model.Tmux(binary=binary, socket_path=str(self.socket), timeout=values.Duration(timeout))

    def control(self, *, binary: str = BINARY, timeout: float = 60.0) -> TmuxControl:
        return TmuxControl(self.config(binary=binary, timeout=timeout), self.environ)

    def messages(self) -> str:
        """tmux's message log, with every command that it ran; only an attached tmux client can read it."""

        def shown() -> str:  # the end of its input detaches the tmux client, sometimes before the answer
            log = self.run("-C", "attach-session", stdin="show-messages\n").stdout
            return log if "command: show-messages" in log else ""

        return poll(shown)

    def screen_command(self, text: str) -> str:
        """A shell command that prints `text`, one line for each row, and keeps running."""
        self._screens += 1
        file = self.folder / f"screen-{self._screens}"
        file.write_text(text.removesuffix("\n"), encoding="utf-8")
        return f"cat {shlex.quote(str(file))}; exec sleep 600"

    def show(self, name: str, text: str, *, width: int = 80, height: int = 24) -> None:
        """Start a session that shows `text`; return when its last word is on the screen."""
        self.start(name, self.screen_command(text), width=width, height=height)
        self.wait_for(name, text.rsplit(maxsplit=1)[-1])

    def wait_for(self, name: str, text: str) -> None:
        """Wait until the session shows that text; wrapped lines count as one."""
        poll(lambda: text in self.screen(name, "-J"), seconds=60)

    def names(self) -> set[str]:
        return {row.session_name for row in self.control().rows() or ()}

    def row(self, name: str) -> PaneRow:
        """The first pane of a session."""
        return next(row for row in self.control().rows() or () if row.session_name == name)

    def sessions(self, pool: model.Pool) -> tuple[Session, ...]:
        return self.control().observe(pool, capture=False).sessions

    def write_wrapper(self, body: str) -> str:
        """The path of a sh script for `tmux.binary`; "$@" are tmux's arguments, $tmux is the real program."""
        wrapper = self.folder / "wrapper"
        wrapper.write_text(f"#!/bin/sh\ntmux={shlex.quote(BINARY)}\n{body}\n")
        wrapper.chmod(0o755)
        return str(wrapper)

    def server_pid(self) -> int:
        return int(self.tmux("display-message", "-p", "#{pid}"))


# A disk in memory, for tests with thousands of fsyncs; SIGKILL loses no more there than on a real disk.
MEMORY = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None


@contextmanager
def private_server() -> Iterator[Server]:
    """A private tmux server; it is killed afterwards with everything that it started."""
    private = Server(server.new_folder("ft-"))  # not tmp_path: the path of a socket has at most 107 bytes
    try:
        yield private
    finally:
        private.end()
        assert private.gone
