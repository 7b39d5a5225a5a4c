"""No sequence of observations breaks the laws: whole lives of the pure core, check after check, at random."""

from datetime import datetime, timedelta
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from failover_oneshot.config.model import Config
from failover_oneshot.decision.decision import Action
from failover_oneshot.decision.rules import decide
from failover_oneshot.model import Finding, Outcome
from failover_oneshot.pool import restart as pool
from failover_oneshot.state.model import State
from failover_oneshot.state.transitions import mark_exhausted, remember, settle
from failover_oneshot.swap.journal import begin, current, finished, given_up, next_candidate
from tests.support.builders import NOW, finding, healthy, make_config, seen, unreadable

CONFIG = make_config(("main", "backup", "third"))
INSIDE = {f"ccl-auto-{n}" for n in range(11, 21)} | {"ops"}
COOLDOWN = timedelta(seconds=CONFIG.quota.reactivate_cooldown)

sights = st.lists(
    st.tuples(
        st.sampled_from(["ccl-auto-11", "ccl-auto-12", "ccl-auto-13", "ccl-auto-20", "ops"]),
        st.sampled_from(["hit", "hit", "hit", "no reset", "healthy", "unreadable"]),
        st.integers(-60, 600),  # minutes to the reset
        st.integers(0, 3),  # which hit it is
    ),
    max_size=5,
    unique_by=lambda sight: sight[0],
)
steps = st.lists(
    st.tuples(
        st.integers(1, 4000),  # seconds to the next check
        sights,
        st.sets(st.sampled_from(["backup", "third"])),  # stores that are broken
        st.booleans(),  # whether the swap's first candidate works
    ),
    max_size=25,
)


def as_findings(sight: list[tuple[str, str, int, int]], state: State, now: datetime) -> tuple[Finding, ...]:
    """What `detect` would make of it: the state's memory joined, then judged."""
    found = []
    for name, what, minutes, number in sight:
        if what == "healthy":
            found.append(healthy(name))
        elif what == "unreadable":
            found.append(unreadable(name))
        else:
            identity = f"screen:{number:012d}:-"
            memory = state.sessions.get(name)
            old = memory.hit if memory and memory.hit and memory.hit.identity == identity else None
            resets = None if what == "no reset" else now + timedelta(minutes=minutes)
            one = finding(
                name,
                identity=identity,
                resets_at=old.resets_at if old else resets,
                first_seen=old.first_seen if old else now,
                acted_on=bool(old and old.acted_on),
                account=old.account if old else state.active_account,
            )
            stale = one.acted_on or (one.resets_at is not None and one.resets_at <= now)
            counts = not stale and one.account == state.active_account
            found.append(replace(one, stale=stale, counted=counts))
    return tuple(found)


@given(steps)
@settings(max_examples=150)
def test_no_life_breaks_the_laws(life: list[tuple[int, Any, set[str], bool]]) -> None:
    state, now = State(active_account="main"), NOW
    last: datetime | None = None
    for seconds_later, sight, broken, works in life:
        now += timedelta(seconds=seconds_later)
        state, _ = settle(state, now)
        found = as_findings(sight, state, now)
        unusable = dict.fromkeys(broken - {state.active_account or ""}, "broken")
        decision = decide(CONFIG, state, seen(found, unusable=unusable), found, now)
        state = remember(state, found, switches_at_message=True, now=now)
        state = replace(state, suspected_hit_at=decision.suspected_hit_at, waiting=decision.waiting)
        if decision.action is Action.SWAP:
            assert last is None or now - last >= COOLDOWN, "two swaps within a cooldown"
            assert decision.candidates[0] != state.active_account
            assert not any(state.exhausted(name, now) for name in decision.candidates), "onto an exhausted account"
            assert not set(decision.candidates) & broken
            assert any(f.counted for f in found)
            state = begin(state, decision, found, now)
            check_plan(CONFIG, found, decision.candidates[0])
            if not works:
                state = next_candidate(touched(state), "refused", now)
            if state.swap_in_progress and state.swap_in_progress.to is None:
                state, result = given_up(state, "refused", now, 50)
                assert result.outcome is Outcome.FAILED
            else:
                state, _ = finished(state, now, 50)
                assert all(state.sessions[f.name].hit.acted_on for f in found if f.blocked)  # type: ignore[union-attr]
            last = now
        elif decision.action is Action.RESUME:
            state, _ = finished(begin(state, decision, found, now), now, 50)
            assert not state.exhausted(state.active_account, now)
        elif decision.action is Action.WAIT and decision.exhausted_until:
            state = mark_exhausted(state, decision.exhausted_until, None, now)


def touched(state: State) -> State:
    """The state in which the install of the candidate has begun: then a failure starts a cooldown."""
    return replace(state, swap_in_progress=replace(current(state), touched=True))


def check_plan(config: Config, found: tuple[Finding, ...], account: str) -> None:
    plan = pool.plan(config, seen(found).sessions, {f.name for f in found}, account, {})
    assert {restart.session for restart in plan} <= INSIDE, "an action outside the range"


@given(steps)
@settings(max_examples=100)
def test_the_same_life_is_decided_the_same(life: list[tuple[int, Any, set[str], bool]]) -> None:
    """`decide` is a function of its arguments alone."""
    for _, sight, broken, _ in life:
        found = as_findings(sight, State(active_account="main"), NOW)
        look = seen(found, unusable=dict.fromkeys(broken, "broken"))
        state = State(active_account="main")
        assert decide(CONFIG, state, look, found, NOW) == decide(CONFIG, state, look, found, NOW)


def test_two_exhausted_accounts_make_one_swap_and_then_wait() -> None:
    """No ping-pong: the sessions show the old hit again after the restart, and then a new one of the new account."""
    config, state, now = make_config(), State(active_account="main"), NOW
    swaps: list[datetime] = []
    for check in range(200):
        now = NOW + timedelta(seconds=30 * check)
        number = 0 if not swaps or now < swaps[0] + timedelta(minutes=15) else 1
        sight = [(f"ccl-auto-{n}", "hit", 24 * 60, number) for n in (11, 12)]
        found = as_findings(sight, state, now)
        decision = decide(config, state, seen(found), found, now)
        state = remember(state, found, switches_at_message=True, now=now)
        state = replace(state, suspected_hit_at=decision.suspected_hit_at, waiting=decision.waiting)
        if decision.action is Action.SWAP:
            state, _ = finished(begin(state, decision, found, now), now, 50)
            swaps.append(now)
        elif decision.action is Action.WAIT and decision.exhausted_until:
            state = mark_exhausted(state, decision.exhausted_until, None, now)
    assert len(swaps) == 1
    assert state.waiting is not None
    assert (state.waiting.account, state.active_account) == ("main", "backup")
