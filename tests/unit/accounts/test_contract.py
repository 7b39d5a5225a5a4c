"""What every swap method guarantees, over the registry: a swap there and back, repeated steps, refusals."""

import contextlib
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from failover_oneshot.accounts.registry import MethodError
from failover_oneshot.config.model import Account, Method
from tests.support.account_methods import SANDBOXES, MethodSandbox, count_changes, forked, interrupted_at


@pytest.fixture(params=list(Method))
def method(request: pytest.FixtureRequest) -> Method:
    found: Method = request.param
    return found


@pytest.fixture
def sandbox(method: Method, tmp_path: Path) -> MethodSandbox:
    return SANDBOXES[method](tmp_path)


def test_a_swap_there_and_back_and_there_again(sandbox: MethodSandbox) -> None:
    sandbox.assert_live("main")
    for outgoing, incoming in (
        (sandbox.main, sandbox.backup),
        (sandbox.backup, sandbox.main),
        (sandbox.main, sandbox.backup),
    ):
        sandbox.refresh()
        sandbox.run(outgoing, incoming)
        sandbox.assert_live(incoming.name)
    sandbox.assert_tidy()
    assert not sandbox.unclaimed.exists()


def test_each_step_may_be_called_again(sandbox: MethodSandbox) -> None:
    method = sandbox.method()
    with method.exclusive(5):
        method.save_back(sandbox.main, {})
        method.save_back(sandbox.main, {})
        note = method.prepare(sandbox.backup)
        for _ in range(2):
            method.install(sandbox.backup, note)
            method.verify(sandbox.backup)
    sandbox.assert_live("backup")
    sandbox.assert_tidy()


@pytest.mark.parametrize("step", ["exclusive", "save_back", "prepare", "install", "verify", "release", "end"])
def test_a_refresh_between_any_two_steps_loses_nothing(sandbox: MethodSandbox, step: str) -> None:
    """An agent refreshes its token where no lock forbids it; if the swap then fails, the next run makes it."""
    for outgoing, incoming in ((sandbox.main, sandbox.backup), (sandbox.backup, sandbox.main)):
        with contextlib.suppress(MethodError):
            sandbox.run(outgoing, incoming, lambda name: sandbox.agent_refreshes() if name == step else None)
        sandbox.assert_nothing_lost()
        sandbox.run(outgoing, incoming)
        sandbox.assert_live(incoming.name)
        sandbox.assert_nothing_lost()
    sandbox.assert_tidy()


def replaces_a_live_file(name: str, arguments: tuple[Any, ...]) -> bool:
    """Whether this call is the rename that makes a file live: method files takes no lock that a refresh waits for."""
    return name == "replace" and Path(arguments[1]).parent.name == "live"


def test_a_refresh_at_any_change_on_disk_loses_nothing(method: Method, tmp_path: Path) -> None:
    """Left out is the rename of method files, right after its last look (docs/safety.md, "What it cannot promise")."""
    first = SANDBOXES[method](tmp_path / "counted")
    for number in range(1, 1 + count_changes(lambda: first.run(first.main, first.backup))):
        sandbox = SANDBOXES[method](tmp_path / str(number))
        swap = partial(sandbox.run, sandbox.main, sandbox.backup)
        at = interrupted_at(number, sandbox.agent_refreshes, replaces_a_live_file)
        assert forked(swap, at) in {0, 1}
        sandbox.assert_nothing_lost()
        swap()
        sandbox.assert_live("backup")
        sandbox.assert_nothing_lost()


def test_a_swap_to_the_live_account_changes_nothing(sandbox: MethodSandbox) -> None:
    before = sandbox.live()
    sandbox.run(sandbox.main, sandbox.main)
    assert sandbox.live() == before


def test_an_unknown_account_is_refused_with_no_change(sandbox: MethodSandbox) -> None:
    if sandbox.name is Method.COMMAND:
        pytest.skip("only the program knows the accounts")
    before = sandbox.live()
    nobody = Account(name="nobody", store=str(sandbox.home / "nowhere"))
    assert sandbox.method().check(nobody)
    with pytest.raises(MethodError):
        sandbox.run(sandbox.main, nobody)
    assert sandbox.live() == before
    sandbox.assert_tidy()
