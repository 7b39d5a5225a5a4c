"""Fixtures that many tests share."""

import os
import shutil
import signal
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest
from polling import poll
from systemdlab import UnavailableError, UserManager
from tmuxlab import Server

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


@pytest.fixture
def server() -> Iterator[Server]:
    with private_server() as lab:
        yield lab


@pytest.fixture(scope="module")
def shared_server() -> Iterator[Server]:
    """One for all tests and examples of a module, which clean up after themselves."""
    with private_server() as lab:
        lab.start("keep")
        yield lab


@pytest.fixture(scope="module")
def user_manager() -> Iterator[UserManager]:
    """A real `systemd --user` for all tests of a module, in a mount namespace of its own."""
    try:
        manager = UserManager()
        with manager:
            yield manager
    except UnavailableError as why:
        pytest.skip(str(why))


def _reap(folder: Path) -> None:
    """Kill the server, whoever started it, and what runs in its panes or the lab's home; wait until that is gone."""
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
