"""A swap by hand: decided as a check's, or refused with the reason."""

import pytest

from failover_oneshot.decision.decision import Action
from failover_oneshot.decision.manual import NothingDoneError, Order, obey
from failover_oneshot.state.model import AccountMemory, State
from tests.support.builders import NOW, at, finding, hits, make_config, seen

FREE = State(active_account="main")
EXHAUSTED = State(active_account="main", accounts={"backup": AccountMemory(exhausted_until=at(hours=1))})
CHURN = State(
    active_account="main", history=tuple({"at": at(minutes=-n).isoformat(), "outcome": "swapped"} for n in (1, 2, 3, 4))
)


@pytest.mark.parametrize(
    ("state", "order", "unusable", "code", "words"),
    [
        (FREE, Order(to="nobody"), {}, 2, "no account named 'nobody' (accounts: main, backup, off"),
        (FREE, Order(to="main"), {}, 0, "nothing to do"),
        (FREE, Order(to="main", force=True), {}, 0, "nothing to do"),
        (FREE, Order(to="off"), {}, 1, "is disabled"),
        (FREE, Order(to="backup"), {"backup": "its store is empty"}, 1, "its store is empty"),
        (FREE, Order(to="backup", force=True), {"backup": "its store is empty"}, 1, "its store is empty"),
        (EXHAUSTED, Order(to="backup"), {}, 1, "failoverctl reset backup"),
        (EXHAUSTED, Order(), {}, 1, "no account is free: main is active, backup is exhausted until"),
        (FREE, Order(), {"backup": "blank"}, 1, "backup is unusable: blank"),
        (CHURN, Order(to="backup"), {}, 1, "4 swaps in the last hour"),
    ],
)
def test_a_refused_order_says_why(state: State, order: Order, unusable: dict[str, str], code: int, words: str) -> None:
    config = make_config(("main", "backup", "off"), disabled=("off",))
    with pytest.raises(NothingDoneError, match=words.replace("(", r"\(")) as caught:
        obey(config, state, seen(unusable=unusable), (), order, NOW)
    assert caught.value.exit_code == code


@pytest.mark.parametrize(
    ("state", "order", "to"),
    [
        (FREE, Order(), "backup"),
        (FREE, Order(to="third"), "third"),
        (EXHAUSTED, Order(), "third"),
        (EXHAUSTED, Order(to="backup", force=True), "backup"),
        (FREE, Order(to="off", force=True), "off"),
        (CHURN, Order(to="backup", force=True), "backup"),
    ],
)
def test_an_order_overrides_only_what_force_allows(state: State, order: Order, to: str) -> None:
    config = make_config(("main", "backup", "third", "off"), disabled=("off",))
    decision = obey(config, state, seen(), (), order, NOW)
    assert (decision.action, decision.candidates[0], decision.exhausted_until) == (Action.SWAP, to, None)


def test_hits_on_the_screens_are_handled_by_an_order_too() -> None:
    found = (*hits(11, 12), finding("ccl-auto-13", counted=False, account="backup"))
    decision = obey(make_config(), FREE, seen(found), found, Order(), NOW)
    assert (decision.blocked_pool, decision.exhausted_until) == (2, at(hours=2))
    assert decision.acted_on == ("ccl-auto-11", "ccl-auto-12", "ccl-auto-13")


def test_an_order_needs_accounts() -> None:
    with pytest.raises(NothingDoneError, match="no accounts configured"):
        obey(make_config(()), State(), seen(), (), Order(), NOW)
