"""What every swap method guarantees, over the registry: a swap there and back, repeated steps, refusals."""

from pathlib import Path

import pytest

from failover_oneshot.accounts.registry import MethodError
from failover_oneshot.config.model import Account, Method
from tests.support.account_methods import SANDBOXES, MethodSandbox


@pytest.fixture(params=list(Method))
def sandbox(request: pytest.FixtureRequest, tmp_path: Path) -> MethodSandbox:
    return SANDBOXES[request.param](tmp_path)


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
