"""Fixtures and settings that all tests share."""

import os
import tempfile
from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, settings

from tests.support.tmux_server import MEMORY, Server, private_server
from tests.support.user_manager import UnavailableError, UserManager

ROOM = 1 << 30  # bytes; far more than a test run writes


def is_roomy(folder: str) -> bool:
    """Whether the folder has room for the tests' files and allows programs to run."""
    disk = os.statvfs(folder)
    return disk.f_bavail * disk.f_frsize >= ROOM and not disk.f_flag & os.ST_NOEXEC


# Each check makes a dozen fsyncs; on a real disk they would take most of the tests' time.
if MEMORY and "TMPDIR" not in os.environ and is_roomy(MEMORY):
    tempfile.tempdir = MEMORY

# No deadline: the time of an example depends on how busy the machine is.
settings.register_profile("unhurried", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("unhurried")


@pytest.fixture
def server() -> Iterator[Server]:
    with private_server() as private:
        yield private


@pytest.fixture(scope="module")
def shared_server() -> Iterator[Server]:
    """One server for all tests and examples of a module; each cleans up after itself."""
    with private_server() as private:
        private.start("keep")
        yield private


@pytest.fixture(scope="module")
def user_manager() -> Iterator[UserManager]:
    """A real `systemd --user` for all tests of a module, in a separate mount namespace."""
    try:
        manager = UserManager()
        with manager:
            yield manager
    except UnavailableError as why:
        pytest.skip(str(why))


def pytest_xdist_auto_num_workers() -> int:
    """Two workers for each processor, because a test waits for programs half of its time."""
    return 2 * (os.cpu_count() or 1)
