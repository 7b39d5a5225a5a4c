"""The doctor's rules: facts to findings."""

from datetime import timedelta
from typing import Any

import pytest

from failover_oneshot.config.model import Autonomous, Config, Dedicated, Pool
from failover_oneshot.ctl.doctor import rules
from failover_oneshot.ctl.doctor.rules import DoctorLine, Level, WatchedSession
from failover_oneshot.ctl.systemd.units import UnitView
from failover_oneshot.model import Outcome
from failover_oneshot.state.model import Failure, Journal, LastCheck, Pause, State, SwapStep
from tests.support.builders import NOW, at, make_config


def levels(lines: list[DoctorLine]) -> list[str]:
    return [line.level.value for line in lines]


def test_the_exit_code_is_the_worst_line() -> None:
    ok, warning, error = (DoctorLine("x", level, "") for level in Level)
    assert [rules.exit_code(lines) for lines in ([], [ok], [ok, warning], [error, warning, ok])] == [0, 0, 1, 2]


@pytest.mark.parametrize(
    ("printed", "level"),
    [("tmux 3.3a", "ok"), ("tmux 3.2", "ok"), ("tmux 2.9a", "warning"), ("tmux next-3.6", "ok"), ("tmux master", "ok")],
)
def test_tmux_versions(printed: str, level: str) -> None:
    assert rules.tmux_version(printed).level == level


def pool(**changes: Any) -> Config:
    autonomous = Autonomous(prefix="ccl-auto-", start_index=11, max=3, **changes)
    return Config(pool=Pool(autonomous=autonomous, dedicated=(Dedicated(name="ops"),)))


def run_names(*names: str, restartable: bool = True) -> list[WatchedSession]:
    index = {"ccl-auto-11": 11, "ccl-auto-12": 12}
    return [WatchedSession(name=name, index=index.get(name), restartable=restartable) for name in names]


@pytest.mark.parametrize(
    ("config", "running", "expected"),
    [
        (pool(), run_names("ccl-auto-11", "ops", "ccl-0"), ["ok"]),
        (pool(), run_names("ops"), ["warning: no session running"]),
        (pool(), run_names("ccl-auto-11"), ["ok", "warning: dedicated session ops is not running"]),
        (pool(), run_names("ccl-auto-11", "ccl-auto-110", "ops"), ["ok", "warning: outside the range"]),
        (pool(min=3), run_names("ccl-auto-11", "ops"), ["ok", "warning: 1 of at least 3 sessions running"]),
        (pool(), run_names("ccl-auto-11", "ops", restartable=False), ["ok", "warning: an empty shell after a swap"]),
        (pool(command="claude"), run_names("ccl-auto-11", "ops", restartable=False), ["ok"]),
    ],
)
def test_the_range_against_the_running_sessions(
    config: Config, running: list[WatchedSession], expected: list[str]
) -> None:
    lines = list(rules.pool_range(config, running))
    assert len(lines) == len(expected), lines
    for line, words in zip(lines, expected, strict=True):
        level, _, text = words.partition(": ")
        assert line.level == level
        assert text in line.text


@pytest.mark.parametrize(
    ("seconds", "level"),
    [(30, "ok"), (32, "ok"), (20, "warning"), (60, "warning"), (10, "error"), (120, "error"), (None, "ok")],
)
def test_the_timers_interval_against_the_configs(seconds: float | None, level: str) -> None:
    """Below half or above three times poll_interval no suspicion is confirmed (docs/behavior.md, "Confirmation")."""
    assert rules.cadence(make_config(), seconds).level == level


def checked(**delta: float) -> State:
    return State(last_check=LastCheck(at=at(**delta), outcome=Outcome.OK, duration_ms=48))


def test_a_clock_that_went_back_is_reported() -> None:
    assert levels(list(rules.clock(True, checked(minutes=5), NOW))) == ["warning", "ok"]
    assert levels(list(rules.clock(False, checked(minutes=-5), NOW))) == ["warning"]
    assert levels(list(rules.clock(None, None, NOW))) == ["ok"]


def test_an_active_timer_without_checks_is_an_error() -> None:
    config = make_config()
    assert levels(list(rules.last_check(config, checked(seconds=-40), NOW, 3600))) == ["ok"]
    assert levels(list(rules.last_check(config, checked(minutes=-9), NOW, 3600))) == ["error"]
    assert levels(list(rules.last_check(config, checked(minutes=-9), NOW, None))) == ["ok"]
    assert levels(list(rules.last_check(config, None, NOW, 3600))) == ["error"]
    assert levels(list(rules.last_check(config, None, NOW, 5))) == ["ok"], "the timer has just been installed"
    assert levels(list(rules.last_check(config, None, NOW, None))) == []


def test_an_unfinished_swap_a_pause_and_a_failure_are_reported() -> None:
    journal = Journal(started_at=NOW, from_="main", to="backup", step=SwapStep.VERIFY, runs=2)
    state = State(
        active_account="gone",
        swap_in_progress=journal,
        paused=Pause(since=NOW),
        last_failure=Failure(at=at(minutes=-5), reason="locked"),
    )
    lines = list(rules.state_lines(make_config(), state, NOW))
    assert [line.fix.partition(" ")[0] for line in lines] == ["failover-check", "failoverctl", "failoverctl", "add"]
    later = NOW + timedelta(days=1)
    assert len(list(rules.state_lines(make_config(), State(last_failure=state.last_failure), later))) == 0


@pytest.mark.parametrize(
    ("known", "expected"),
    [
        ({"LoadState": "loaded", "UnitFileState": "enabled", "ActiveState": "active", "NeedDaemonReload": "no"}, []),
        ({"LoadState": "not-found"}, ["error"]),
        ({"LoadState": "loaded", "UnitFileState": "disabled", "ActiveState": "inactive"}, ["error", "error"]),
        (
            {"LoadState": "loaded", "UnitFileState": "enabled", "ActiveState": "active", "NeedDaemonReload": "yes"},
            ["warning"],
        ),
    ],
)
def test_the_timers_unit(known: dict[str, str], expected: list[str]) -> None:
    assert levels(list(rules.timer(known))) == expected


def test_the_services_program() -> None:
    known = {"ExecStart": "{ path=/home/me/a b/failover-check ; argv[]=x ; }", "Result": "success"}
    assert rules.exec_path(known) == "/home/me/a b/failover-check"
    assert levels(list(rules.service(known, True, "/home/me/a b/failover-check"))) == []
    assert levels(list(rules.service(known, True, "/opt/failover-check"))) == ["warning"]
    assert levels(list(rules.service(known, False, None))) == ["error"]
    failed = {**known, "Result": "exit-code", "ExecMainStatus": "78"}
    assert ["78" in line.text for line in rules.service(failed, True, None)] == [True]


def test_a_timer_with_other_files_or_another_server_is_reported() -> None:
    """There would be two configurations, states and locks, or two tmux servers."""
    known = {
        "ExecStart": "{ path=/bin/failover-check ; argv[]=/bin/failover-check --config /a b.yaml --state /s.json ; "
        "ignore_errors=no ; }",
        "Environment": "PATH=/usr/bin LANG=C.UTF-8 TMUX_TMPDIR=/run/t",
    }
    theirs = rules.timers_view(known)
    assert theirs == UnitView(config="/a b.yaml", state="/s.json", tmux_tmpdir="/run/t")
    assert list(rules.same_view(theirs, theirs)) == []
    assert levels(list(rules.same_view(theirs, UnitView(config="/a b.yaml")))) == ["warning", "warning"]
    plain = {"ExecStart": "{ path=/bin/failover-check ; argv[]=/bin/failover-check ; ignore_errors=no ; }"}
    assert rules.timers_view(plain) == UnitView()
