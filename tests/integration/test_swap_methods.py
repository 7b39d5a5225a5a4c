"""Every swap method, killed and failed at each change that it makes to the disk."""

import errno
from collections.abc import Callable
from pathlib import Path

import pytest

from failover_oneshot.config.model import Method
from tests.support.account_methods import SANDBOXES, MethodSandbox, count_changes, dying_at, failing_at, forked


@pytest.mark.parametrize("refreshed", [False, True])
def test_killed_at_each_change_and_finished_by_the_next_run(method: Method, refreshed: bool, tmp_path: Path) -> None:
    """With `refreshed` a client's token refresh falls between the kill and the next run."""
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
def test_a_failure_at_each_change_leaves_everything_or_is_made_good(
    method: Method, error: int, once: bool, tmp_path: Path
) -> None:
    """The n-th change fails, or all from then on. Given up means as it was; the next run makes the swap in any case."""
    for number in changes(method, tmp_path):
        sandbox = SANDBOXES[method](tmp_path / str(number))
        live, before = sandbox.live(), newest(sandbox)
        ended = swap_in_a_process(sandbox, failing_at(number, error, once=once))
        assert ended in {0, 1, 2}  # 2: it was the journal that could not be written
        if ended == 1 and sandbox.journal()["step"] == "save_back":
            assert sandbox.live() == live
        sandbox.run(sandbox.main, sandbox.backup)
        sandbox.assert_live("backup")
        sandbox.assert_tidy()
        assert newest(sandbox) == before == in_place(sandbox)


def swap_in_a_process(sandbox: MethodSandbox, prepare: Callable[[], None]) -> int:
    return forked(lambda: sandbox.run(sandbox.main, sandbox.backup), prepare)


def changes(method: Method, folder: Path) -> range:
    """The number of each change that a whole swap makes."""
    sandbox = SANDBOXES[method](folder / "counted")
    return range(1, count_changes(lambda: sandbox.run(sandbox.main, sandbox.backup)) + 1)


@pytest.fixture(params=list(Method))
def method(request: pytest.FixtureRequest) -> Method:
    found: Method = request.param
    return found


def newest(sandbox: MethodSandbox) -> dict[str, int]:
    """The newest login of each account, anywhere in the home."""
    found: dict[str, int] = {}
    if hasattr(sandbox, "generation"):
        for path in sandbox.home.rglob("*"):
            try:
                name, generation = sandbox.generation(path)
            except (OSError, ValueError, KeyError, TypeError):
                continue
            found[name] = max(found.get(name, 0), generation)
    return found


def in_place(sandbox: MethodSandbox) -> dict[str, int]:
    """The login of each account where the next swap looks for it."""
    if not hasattr(sandbox, "generation"):
        return {}
    file, live = (".credentials.json", ".claude") if sandbox.name is Method.CLAUDE else ("auth.json", "live")
    found = {"main": sandbox.generation(sandbox.stored("main") / file)[1]}
    name, generation = sandbox.generation(sandbox.home / live / file)
    assert name == "backup"
    return {**found, "backup": generation}
