"""Replayed checks decide as the recorded checks did."""

import msgspec

from failover_oneshot.agents.claude.classify import classify
from failover_oneshot.analysis.replay import Checked, RecordedCheck, check
from failover_oneshot.config.model import Config
from failover_oneshot.ctl.commands.replay import _watched
from failover_oneshot.state.model import LastSwap, State
from tests.support.builders import at, make_config
from tests.support.recorded_checks import CLEAR, RESET, VAGUE, record


def replayed(config: Config, *records: RecordedCheck) -> list[Checked]:
    state = records[0].state
    done = []
    for one in records:
        done.append(check(config, state, one, _watched(config), classify))
        state = done[-1].state
    return done


def outcomes(config: Config, *records: RecordedCheck) -> list[str]:
    return [str(checked.decision.outcome) for checked in replayed(config, *records)]


def test_each_check_is_decided_on_the_state_of_the_previous_one() -> None:
    row = [record(30 * n, VAGUE, VAGUE, CLEAR) for n in range(4)]
    assert outcomes(make_config(), *row) == ["suspected", "swapped", "cooldown", "cooldown"]
    assert outcomes(make_config(quota={"pool_threshold": 3}), *row) == ["ok"] * 4
    last = replayed(make_config(), *row)[-1].state
    assert (last.active_account, last.swap_in_progress, len(last.history)) == ("backup", None, 1)
    assert last.sessions["ccl-auto-11"].hit is not None
    assert last.sessions["ccl-auto-11"].hit.acted_on


def test_the_same_hit_never_swaps_twice_however_short_the_cooldown() -> None:
    config = make_config(("main", "backup", "third"), quota={"reactivate_cooldown": 1})
    row = [record(30 * n, RESET, RESET) for n in range(10)]
    assert outcomes(config, *row) == ["swapped"] + ["ok"] * 9


def test_after_waiting_the_first_free_account_is_resumed() -> None:
    config = make_config(("main",))
    row = [record(0, RESET, RESET), record(30, RESET, RESET), record(7230, RESET, RESET)]
    assert outcomes(config, *row) == ["waiting", "waiting", "resumed"]


def test_a_swap_in_the_future_holds_for_one_cooldown() -> None:
    state = State(active_account="main", last_swap=LastSwap(at=at(days=1), from_="backup", to="main"))
    row = [record(0, RESET, RESET, state=state), record(630, RESET, RESET)]
    assert outcomes(make_config(), *row) == ["cooldown", "swapped"]


def test_sessions_that_the_config_does_not_watch_are_left_out() -> None:
    config = make_config()
    narrow = msgspec.structs.replace(
        config,
        pool=msgspec.structs.replace(config.pool, autonomous=msgspec.structs.replace(config.pool.autonomous, max=1)),
    )
    assert outcomes(narrow, record(0, RESET, RESET)) == ["ok"]
    assert outcomes(make_config(), record(0, RESET, RESET)) == ["swapped"]
