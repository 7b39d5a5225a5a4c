"""Fixtures of the tests that run the real programs."""

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.paths import DEPLOY
from tests.support.sandbox import NEIGHBOURS, POOL, Sandbox, hit_screen
from tests.support.tmux_server import Server
from tests.support.user_manager import QUICK, UNLIMITED, UserManager


@pytest.fixture
def sandbox(server: Server, tmp_path: Path) -> Sandbox:
    return Sandbox(server, tmp_path)


@pytest.fixture
def blocked(sandbox: Sandbox) -> Sandbox:
    """A sandbox with three blocked pool sessions, and three neighbors outside the range that show the same screen."""
    for name in (*POOL, *NEIGHBOURS):
        sandbox.server.show(name, hit_screen())
    return sandbox


@pytest.fixture
def manager(user_manager: UserManager) -> Iterator[UserManager]:
    """A user manager with the shipped units, run every half second; the service prints to `out` in its folder."""
    user_manager.install(DEPLOY / "failover.service", DEPLOY / "failover.timer")
    user_manager.drop_in("failover.timer", QUICK)
    user_manager.drop_in("failover.service", UNLIMITED.format(user_manager.folder / "out"))
    yield user_manager
    user_manager.systemctl("stop", "failover.timer", "failover.service", check=False)
    user_manager.systemctl("reset-failed", check=False)
    (user_manager.folder / "out").unlink(missing_ok=True)


@pytest.fixture(scope="module")
def namespace() -> list[str]:
    """The command that gives a program its own mounts."""
    probe = subprocess.run(["unshare", "--mount", "true"], check=False, capture_output=True)
    if probe.returncode:
        pytest.skip(f"cannot create a mount namespace: {probe.stderr.decode().strip()}")
    return ["unshare", "--mount"]
