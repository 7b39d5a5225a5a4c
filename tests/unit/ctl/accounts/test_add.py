"""The parts of `failoverctl accounts add` that plan and write the configuration."""

import os
from pathlib import Path

import pytest

from failover_oneshot.config.model import Account, Config
from failover_oneshot.ctl.accounts.add import Addition, new_store, shown, write
from failover_oneshot.ctl.accounts.target import AccountsError

HOME = {"HOME": "/home/ada"}


@pytest.mark.parametrize(
    ("stores", "expected"),
    [
        ((), "/home/ada/.claude-accounts/third"),
        (("/srv/stores/main", "/home/ada/b"), "/srv/stores/third"),
        ((None, "/home/ada/b"), "/home/ada/third"),
    ],
)
def test_a_new_store_is_beside_the_first_one(stores: tuple[str | None, ...], expected: str) -> None:
    accounts = tuple(Account(name=str(number), store=store) for number, store in enumerate(stores))
    assert new_store(Config(accounts=accounts), "third", HOME) == expected


@pytest.mark.parametrize(
    ("path", "expected"),
    [("/home/ada/a/b", "~/a/b"), ("/home/adam/a", "/home/adam/a"), ("/srv/a", "/srv/a"), ("/home/ada", "/home/ada")],
)
def test_a_path_in_the_home_is_shown_with_a_tilde(path: str, expected: str) -> None:
    assert shown(path, HOME) == expected
    assert shown(path, {"HOME": "/home/ada/"}) == expected
    assert shown(path, {}) == path


def test_the_lines_are_named_if_the_file_cannot_be_written(tmp_path: Path) -> None:
    """The credentials are in the store by then, so the message says what is left to do."""
    store = str(Path(os.environ["HOME"], "third"))
    plan = Addition(Account(name="third", store=store), Config(), "accounts: []")
    with pytest.raises(AccountsError, match=r"^third's credentials are in its store, but ") as error:
        write(tmp_path / "missing" / "failover.yaml", plan)
    assert str(error.value).endswith("under `accounts`:\n  - name: third\n    store: ~/third")


def test_a_configured_account_writes_no_configuration(tmp_path: Path) -> None:
    write(tmp_path / "missing" / "failover.yaml", Addition(Account(name="main"), Config(), None))
