"""The simulation is deterministic, its sums hold, and skipped checks change nothing."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from failover_oneshot.analysis.simulate import Policy, SimulatedLoad, SimulationResult, simulate, work
from failover_oneshot.config.model import Strategy
from tests.support.builders import make_config

ORDERED = Policy(strategy=Strategy.ORDERED, threshold=2, cooldown=600)


def month(
    load: SimulatedLoad, policy: Policy = ORDERED, *, every_check: bool = False, **quota: Any
) -> SimulationResult:
    config = make_config((), quota=quota)
    return simulate(config, load, policy, work(load, config.quota.poll_interval), every_check=every_check)


def test_a_seed_determines_the_month() -> None:
    one = SimulatedLoad(days=5)
    assert month(one) == month(one)
    assert month(one).wanted != month(SimulatedLoad(days=5, seed=2)).wanted


@settings(max_examples=15)
@given(
    st.builds(
        SimulatedLoad,
        accounts=st.integers(1, 4),
        sessions=st.integers(1, 12),
        busy=st.floats(0.05, 1),
        five_hour=st.floats(1, 40),
        weekly=st.floats(5, 300),
        unknown=st.floats(0, 1),
        days=st.just(2.0),
        seed=st.integers(0, 99),
    ),
    st.builds(
        Policy,
        strategy=st.sampled_from(Strategy),
        threshold=st.integers(1, 4),
        cooldown=st.sampled_from([1.0, 60.0, 600.0, 7200.0]),
    ),
)
def test_the_sums_hold_and_no_hour_has_too_many_swaps(load: SimulatedLoad, policy: Policy) -> None:
    found = month(load, policy)
    assert found.wanted == pytest.approx(found.worked + found.stalled + found.restarting, abs=0.5)
    assert found.pool_stalled <= 24 * load.days
    assert found.swaps <= 4 * 24 * load.days
    assert load.accounts > 1 or found.swaps == 0


@pytest.mark.parametrize("unknown", [0.0, 0.5])
@pytest.mark.parametrize("strategy", Strategy)
def test_skipping_checks_that_decide_nothing_new_changes_nothing(strategy: Strategy, unknown: float) -> None:
    load = SimulatedLoad(days=1.5, five_hour=6, weekly=40, unknown=unknown)
    policy = Policy(strategy=strategy, threshold=2, cooldown=900)
    few, all_ = month(load, policy), month(load, policy, every_check=True)
    assert few.checks < all_.checks
    assert (few.swaps, few.resumes, few.worked, few.stalled) == (all_.swaps, all_.resumes, all_.worked, all_.stalled)


def test_large_accounts_need_no_swap_and_small_ones_stall() -> None:
    plenty = month(SimulatedLoad(days=7, five_hour=1000, weekly=100_000))
    assert (plenty.swaps, plenty.stalled, plenty.worked) == (0, 0, plenty.wanted)
    alone, two, four = (month(SimulatedLoad(days=7, accounts=n)) for n in (1, 2, 4))
    assert alone.stalled > two.stalled > four.stalled
    assert (alone.swaps, alone.waited > 0) == (0, True)
    assert alone.worked > 10 * SimulatedLoad().five_hour, "a session that waits continues when its window has ended"


def test_one_blocked_session_is_below_the_threshold() -> None:
    load = SimulatedLoad(days=7, sessions=1, busy=1, five_hour=3)
    assert month(load, Policy(strategy=Strategy.ORDERED, threshold=2, cooldown=600)).swaps == 0
    assert month(load, Policy(strategy=Strategy.ORDERED, threshold=1, cooldown=600)).swaps > 0


def test_a_hit_without_a_reset_costs_more() -> None:
    known, unknown = month(SimulatedLoad(days=7, unknown=0)), month(SimulatedLoad(days=7, unknown=1))
    assert unknown.swaps > known.swaps, "the backoff is shorter than the window, so the account is tried again"
