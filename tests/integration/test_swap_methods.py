"""Every swap method, killed or made to fail at each of its changes on disk."""

import errno
import os
import tempfile
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import pytest

from failover_oneshot.config.model import Method
from tests.support.account_methods import (
    SANDBOXES,
    ClaudeSandbox,
    MethodSandbox,
    count_changes,
    dying_at,
    failing_at,
    forked,
    identity,
    load,
    write,
)
from tests.support.polling import poll
from tests.support.tmux_server import MEMORY


@pytest.mark.parametrize("refreshed", [False, True])
def test_the_next_run_completes_a_swap_killed_at_any_change(method: Method, refreshed: bool, tmp_path: Path) -> None:
    """With `refreshed` an agent refreshes its token between the kill and the next run."""
    for number in changes(method, tmp_path):
        sandbox = SANDBOXES[method](tmp_path / str(number))
        assert swap_in_a_process(sandbox, dying_at(number)) == -9
        if refreshed:
            sandbox.refresh()
        before = newest(sandbox)
        sandbox.run(sandbox.main, sandbox.backup)
        sandbox.assert_live("backup")
        sandbox.assert_tidy()
        assert newest(sandbox) == before == in_place(sandbox)


@pytest.mark.parametrize(("error", "once"), [(errno.EIO, True), (errno.ENOSPC, False)])
def test_a_failure_at_any_change_is_rolled_back_or_completed(
    method: Method, error: int, once: bool, tmp_path: Path
) -> None:
    """The n-th change fails, or all from then on. A failed swap changes nothing; the next run always makes the swap."""
    for number in changes(method, tmp_path):
        sandbox = SANDBOXES[method](tmp_path / str(number))
        live, before = sandbox.live(), newest(sandbox)
        ended = swap_in_a_process(sandbox, failing_at(number, error, once=once))
        assert ended in {0, 1, 2}  # 2: the journal could not be written
        if ended == 1 and sandbox.journal()["step"] == "save_back":
            assert sandbox.live() == live
        sandbox.run(sandbox.main, sandbox.backup)
        sandbox.assert_live("backup")
        sandbox.assert_tidy()
        assert newest(sandbox) == before == in_place(sandbox)


def swap_in_a_process(sandbox: MethodSandbox, prepare: Callable[[], None]) -> int:
    return forked(lambda: sandbox.run(sandbox.main, sandbox.backup), prepare)


def changes(method: Method, folder: Path) -> range:
    """The numbers of all changes that a whole swap makes."""
    sandbox = SANDBOXES[method](folder / "counted")
    return range(1, count_changes(lambda: sandbox.run(sandbox.main, sandbox.backup)) + 1)


@pytest.fixture(params=list(Method))
def method(request: pytest.FixtureRequest) -> Method:
    found: Method = request.param
    return found


def newest(sandbox: MethodSandbox) -> dict[str, int]:
    """The newest generation of each account's credentials, anywhere in the home."""
    found: dict[str, int] = {}
    if sandbox.credentials():
        for path in sandbox.home.rglob("*"):
            try:
                name, generation = sandbox.generation(path)
            except (OSError, ValueError, KeyError, TypeError):
                continue
            found[name] = max(found.get(name, 0), generation)
    return found


def in_place(sandbox: MethodSandbox) -> dict[str, int]:
    """The generation of each account's credentials in the place from which the next swap takes them."""
    if not sandbox.credentials():
        return {}
    file, live = (".credentials.json", ".claude") if sandbox.name is Method.CLAUDE else ("auth.json", "live")
    found = {"main": sandbox.generation(sandbox.stored("main") / file)[1]}
    name, generation = sandbox.generation(sandbox.home / live / file)
    assert name == "backup"
    return {**found, "backup": generation}


SWAPS = 200  # back and forth, while an agent refreshes its token all the time


@pytest.fixture
def sandbox(tmp_path: Path) -> ClaudeSandbox:
    return ClaudeSandbox(tmp_path)


@pytest.fixture
def quick_sandbox() -> Iterator[ClaudeSandbox]:
    with tempfile.TemporaryDirectory(dir=MEMORY) as folder:
        yield ClaudeSandbox(Path(folder))


def test_an_agent_that_refreshes_all_the_time(quick_sandbox: ClaudeSandbox) -> None:
    """A token works once, so a lost refresh or mixed accounts end the agent with an error."""
    sandbox = quick_sandbox
    pid = os.fork()
    if pid == 0:
        status = 1
        try:
            agent(sandbox)
            status = 0
        finally:
            os._exit(status)
    try:
        for number in range(SWAPS):
            poll(partial(enough, sandbox, number))
            order = (sandbox.main, sandbox.backup) if number % 2 == 0 else (sandbox.backup, sandbox.main)
            sandbox.run(*order)
    finally:
        (sandbox.home / "stop").touch()
        ended = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    assert ended == 0
    sandbox.assert_live("main")
    ledger = load(sandbox.home / "ledger")
    sandbox.method().save_back(sandbox.main, {})
    for name in ("main", "backup"):
        assert sandbox.generation(sandbox.stored(name) / ".credentials.json") == (name, ledger[name])
    assert not sandbox.unclaimed.exists()
    (sandbox.home / "stop").chmod(0o600)
    sandbox.assert_tidy()


def enough(sandbox: ClaudeSandbox, refreshes: int) -> bool:
    return (sandbox.home / "ledger").exists() and load(sandbox.home / "ledger")["count"] > refreshes


def agent(sandbox: ClaudeSandbox) -> None:
    """Refresh the token under Claude Code's locks every 10 ms, and keep the server's ledger of the newest tokens."""
    ledger = {"main": 2, "backup": 1, "count": 0}
    locks = [sandbox.folder / ".oauth_refresh.lock", sandbox.home / ".claude.lock", sandbox.home / ".claude.json.lock"]
    while not (sandbox.home / "stop").exists():
        for lock in locks:
            while True:
                try:
                    lock.mkdir()
                    break
                except FileExistsError:
                    time.sleep(0.001)
        name, generation = sandbox.generation(sandbox.folder / ".credentials.json")
        assert load(sandbox.settings)["oauthAccount"] == identity(name), "mixed accounts"
        assert ledger[name] == generation, "a refresh was lost"
        sandbox.refresh()
        ledger[name] += 1
        ledger["count"] += 1
        write(sandbox.home / "ledger.new", ledger)
        (sandbox.home / "ledger.new").replace(sandbox.home / "ledger")
        for lock in reversed(locks):
            lock.rmdir()
        time.sleep(0.01)
