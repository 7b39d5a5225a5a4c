"""Which of the free accounts comes next."""

import pytest

from failover_oneshot.decision.candidates import candidates
from failover_oneshot.state.model import AccountMemory, State
from tests.support.builders import NOW, at, make_config


@pytest.mark.parametrize(
    ("strategy", "memory", "expected"),
    [
        ("ordered", {}, ("a", "c", "d")),
        ("round_robin", {}, ("c", "d", "a")),
        (
            "least_recently_used",
            {"a": AccountMemory(last_used_at=at(hours=-1)), "c": AccountMemory(last_used_at=at(hours=-2))},
            ("d", "c", "a"),
        ),
        (
            "soonest_reset",
            {"a": AccountMemory(exhausted_until=at(hours=-1)), "d": AccountMemory(window_resets_at=at(hours=1))},
            ("d", "c", "a"),
        ),
    ],
)
def test_strategies(strategy: str, memory: dict[str, AccountMemory], expected: tuple[str, ...]) -> None:
    config = make_config(("a", "b", "c", "d"), swap={"strategy": strategy})
    assert candidates(config, State(active_account="b", accounts=memory), {}, NOW) == expected


def test_only_what_can_be_swapped_to_now_is_a_candidate() -> None:
    config = make_config(("active", "off", "broken", "used up", "free again", "free"), disabled=("off",))
    memory = {
        "used up": AccountMemory(exhausted_until=at(seconds=1)),
        "free again": AccountMemory(exhausted_until=at(seconds=-1)),
    }
    state = State(active_account="active", accounts=memory)
    assert candidates(config, state, {"broken": "its store is empty"}, NOW) == ("free again", "free")
