"""`failoverctl simulate`: the comparison that it prints, and the options that it refuses."""

import pytest

from tests.support.operator import ctl, facts
from tests.support.sandbox import Sandbox


def test_the_command_compares_and_puts_the_best_first(sandbox: Sandbox) -> None:
    arguments = ("--days", "2", "--threshold", "1,2", "--cooldown", "1m,10m", "--strategy", "ordered,round_robin")
    told = facts(sandbox, "simulate", *arguments)
    lost = [row["stalled"] + row["restarting"] for row in told["results"]]
    assert (len(lost), lost) == (8, sorted(lost))
    assert (told["load"]["accounts"], told["load"]["sessions"]) == (2, 10), "they come from the config"
    assert facts(sandbox, "simulate", *arguments) == told
    text = ctl(sandbox, "simulate", *arguments).stdout
    assert max(map(len, text.splitlines())) <= 80
    assert text.count("round_robin") == 4


@pytest.mark.parametrize(
    "arguments",
    [("--strategy", "best"), ("--threshold", "0"), ("--cooldown", "soon"), ("--load", "2"), ("--load", "nan"),
     ("--days", "-1"), ("--accounts", "x")],
)  # fmt: skip
def test_impossible_options_are_refused(sandbox: Sandbox, arguments: tuple[str, str]) -> None:
    assert ctl(sandbox, "simulate", *arguments).returncode == 2


def test_it_needs_no_config(sandbox: Sandbox) -> None:
    done = ctl(sandbox, "simulate", "--days", "1", "--strategy", "ordered", FAILOVER_CONFIG="")
    assert (done.returncode, "3 accounts" in done.stdout) == (0, True)
