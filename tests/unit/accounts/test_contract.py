"""What every swap method promises, checked over the registry: repeated, killed at each change, failed, refused."""

import errno
from collections.abc import Callable
from pathlib import Path

import pytest

from failover_oneshot.accounts.registry import MethodError
from failover_oneshot.config.model import Account, Method
from tests.support.account_methods import LABS, Lab, count_changes, dying_at, failing_at, forked


@pytest.fixture(params=list(Method))
def lab(request: pytest.FixtureRequest, tmp_path: Path) -> Lab:
    return LABS[request.param](tmp_path)


def test_a_swap_there_and_back_and_there_again(lab: Lab) -> None:
    lab.assert_live("main")
    for outgoing, incoming in ((lab.main, lab.backup), (lab.backup, lab.main), (lab.main, lab.backup)):
        lab.refresh()
        lab.run(outgoing, incoming)
        lab.assert_live(incoming.name)
    lab.assert_tidy()
    assert not lab.unclaimed.exists()


def test_each_step_may_be_called_again(lab: Lab) -> None:
    method = lab.method()
    with method.exclusive(5):
        method.save_back(lab.main, {})
        method.save_back(lab.main, {})
        note = method.prepare(lab.backup)
        for _ in range(2):
            method.install(lab.backup, note)
            method.verify(lab.backup)
    lab.assert_live("backup")
    lab.assert_tidy()


def test_swapping_to_what_is_live_changes_nothing(lab: Lab) -> None:
    before = lab.live()
    lab.run(lab.main, lab.main)
    assert lab.live() == before


def test_an_unknown_account_is_refused_and_nothing_changed(lab: Lab) -> None:
    if lab.name is Method.COMMAND:
        pytest.skip("only the program knows the accounts")
    before = lab.live()
    nobody = Account(name="nobody", store=str(lab.home / "nowhere"))
    assert lab.method().check(nobody)
    with pytest.raises(MethodError):
        lab.run(lab.main, nobody)
    assert lab.live() == before
    lab.assert_tidy()


@pytest.mark.parametrize("refreshed", [False, True])
def test_killed_at_each_change_and_finished_by_the_next_run(method: Method, refreshed: bool, tmp_path: Path) -> None:
    """With `refreshed` a client's token refresh falls between the kill and the next run."""
    for number in changes(method, tmp_path):
        lab = LABS[method](tmp_path / str(number))
        assert swap_in_a_process(lab, dying_at(number)) == -9
        if refreshed:
            lab.refresh()
        before = newest(lab)
        lab.run(lab.main, lab.backup)
        lab.assert_live("backup")
        lab.assert_tidy()
        assert newest(lab) == before == in_place(lab)


@pytest.mark.parametrize(("error", "once"), [(errno.EIO, True), (errno.ENOSPC, False)])
def test_a_failure_at_each_change_leaves_everything_or_is_made_good(
    method: Method, error: int, once: bool, tmp_path: Path
) -> None:
    """The n-th change fails, or all from then on. Given up means as it was; the next run makes the swap in any case."""
    for number in changes(method, tmp_path):
        lab = LABS[method](tmp_path / str(number))
        live, before = lab.live(), newest(lab)
        ended = swap_in_a_process(lab, failing_at(number, error, once=once))
        assert ended in {0, 1, 2}  # 2: it was the journal that could not be written
        if ended == 1 and lab.journal()["step"] == "save_back":
            assert lab.live() == live
        lab.run(lab.main, lab.backup)
        lab.assert_live("backup")
        lab.assert_tidy()
        assert newest(lab) == before == in_place(lab)


def swap_in_a_process(lab: Lab, prepare: Callable[[], None]) -> int:
    return forked(lambda: lab.run(lab.main, lab.backup), prepare)


def changes(method: Method, folder: Path) -> range:
    """The number of each change that a whole swap makes."""
    lab = LABS[method](folder / "counted")
    return range(1, count_changes(lambda: lab.run(lab.main, lab.backup)) + 1)


@pytest.fixture(params=list(Method))
def method(request: pytest.FixtureRequest) -> Method:
    found: Method = request.param
    return found


def newest(lab: Lab) -> dict[str, int]:
    """The newest login of each account, anywhere in the home."""
    found: dict[str, int] = {}
    if hasattr(lab, "generation"):
        for path in lab.home.rglob("*"):
            try:
                name, generation = lab.generation(path)
            except (OSError, ValueError, KeyError, TypeError):
                continue
            found[name] = max(found.get(name, 0), generation)
    return found


def in_place(lab: Lab) -> dict[str, int]:
    """The login of each account where the next swap looks for it."""
    if not hasattr(lab, "generation"):
        return {}
    file, live = (".credentials.json", ".claude") if lab.name is Method.CLAUDE else ("auth.json", "live")
    found = {"main": lab.generation(lab.stored("main") / file)[1]}
    name, generation = lab.generation(lab.home / live / file)
    assert name == "backup"
    return {**found, "backup": generation}
