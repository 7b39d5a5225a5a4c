"""`failoverctl status`: the value that it prints, and the sight of it in a real terminal."""

import json
import re
import shutil
from datetime import timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest

from failover_oneshot.ctl.lib.status import Status, compose
from failover_oneshot.ctl.lib.terminal import cells, elided, laid_out
from failover_oneshot.ctl.systemd import timer
from failover_oneshot.decision.rules import Action, Decision
from failover_oneshot.model import Kind, Outcome
from failover_oneshot.state.model import (
    AccountMemory,
    HitMemory,
    LastSwap,
    Pause,
    SessionMemory,
    State,
    Trouble,
)
from failover_oneshot.state.transitions import remember
from tests.support.builders import NOW, at, finding, healthy, make_config
from tests.support.operator import CTL, STATES, ctl, every_state, facts, huge, in_pane, put_state, screen, stamp
from tests.support.polling import poll
from tests.support.sandbox import Sandbox, hit_screen
from tests.support.user_manager import UserManager, program

SWAP = Decision(action=Action.SWAP, outcome=Outcome.SWAPPED, reason="because", candidates=("backup",), blocked_pool=1)


def status(state: State, *, disabled: tuple[str, ...] = (), **changes: Any) -> Status:
    given: dict[str, Any] = {"findings": (), "decision": SWAP, **changes}
    config = make_config(("main", "backup", "third"), disabled=disabled)
    findings, decision = given.pop("findings"), given.pop("decision")
    return compose(config, state, findings, decision, NOW, state_file="/state.json", **given)


@pytest.mark.parametrize(
    ("state", "problems", "expected"),
    [
        (
            State(active_account="main"),
            {},
            [("main", True, "free"), ("backup", False, "free"), ("third", False, "disabled")],
        ),
        (
            State(active_account="main", accounts={"main": AccountMemory(exhausted_until=at(hours=1))}),
            {"backup": "its store does not exist"},
            [("main", True, "exhausted"), ("backup", False, "unusable"), ("third", False, "disabled")],
        ),
        (
            State(active_account="backup", accounts={"main": AccountMemory(exhausted_until=at(seconds=-1))}),
            {"backup": "an active account needs no store yet"},
            [("main", False, "free"), ("backup", True, "free"), ("third", False, "disabled")],
        ),
    ],
)
def test_what_state_an_account_is_in(state: State, problems: dict[str, str], expected: list[Any]) -> None:
    found = status(state, disabled=("third",), problems=problems).accounts
    assert [(a.name, a.active, a.state) for a in found] == expected


def test_the_time_to_reset_counts_from_this_instant() -> None:
    state = State(active_account="main", accounts={"main": AccountMemory(exhausted_until=at(minutes=90))})
    assert status(state).accounts[0].free_in == 5400
    shown = status(state, findings=(finding(resets_at=at(minutes=30)),)).sessions[0]
    assert (shown.kind, shown.counted, shown.resets_in) == (Kind.QUOTA, True, 1800)


def test_a_session_shows_its_kind_since_when_it_does() -> None:
    """The state keeps since when; another kind begins anew."""
    state = remember(State(active_account="main"), (healthy(),), True, at(minutes=-20))
    state = remember(state, (healthy(),), True, at(minutes=-5))
    assert status(state, findings=(healthy(),)).sessions[0].since == at(minutes=-20)
    assert status(state, findings=(finding(kind=Kind.SERVER_ERROR, blocked=False),)).sessions[0].since is None
    assert status(state, findings=(finding(first_seen=at(minutes=-1)),)).sessions[0].since == at(minutes=-1)
    state = remember(state, (finding(first_seen=at(minutes=-1)),), True, at(minutes=-1))
    assert (state.sessions["ccl-auto-11"].kind, state.sessions["ccl-auto-11"].since) == (Kind.QUOTA, at(minutes=-1))


def test_what_is_only_remembered_says_so() -> None:
    hit = HitMemory(first_seen=at(hours=-1), snippet="You've hit your limit", resets_at=at(hours=1))
    state = State(sessions={"ccl-auto-12": SessionMemory(account="main", hit=hit)})
    gone, unknown = status(state).sessions[0], status(state, findings=None).sessions[0]
    assert (gone.running, unknown.running) == (False, None)
    assert (unknown.kind, unknown.since, unknown.snippet) == (Kind.QUOTA, at(hours=-1), "You've hit your limit")


def test_a_pause_that_is_over_and_a_cooldown_that_is_over_are_not_told() -> None:
    swap = LastSwap(at=at(minutes=-9), from_="main", to="backup")
    now = status(State(paused=Pause(since=at(hours=-1), until=at(minutes=1)), last_swap=swap))
    assert now.paused is not None
    assert now.cooldown is not None
    assert now.cooldown.left == 60
    swap = LastSwap(at=at(minutes=-11), from_="main", to="backup")
    over = status(State(paused=Pause(since=at(hours=-1), until=at(minutes=-1)), last_swap=swap))
    assert (over.paused, over.cooldown) == (None, None)
    failed = status(State(last_swap=swap, last_failure=Trouble(at=at(seconds=-1), reason="r")))
    assert failed.cooldown is not None, "it counts from a failed attempt too"


def test_the_object_can_be_encoded_and_read_back() -> None:
    state = State(active_account="main", last_swap=LastSwap(at=NOW, from_="main", to="backup"))
    text = msgspec.json.encode(status(state, findings=(finding(),)))
    assert msgspec.json.decode(text, type=Status) == status(state, findings=(finding(),))
    assert json.loads(text)["last_swap"]["from"] == "main"


SHOWN = """Id=failover.timer
LoadState={load}
ActiveState={active}
NextElapseUSecRealtime={real}
NextElapseUSecMonotonic={mono}

Id=failover.service
LoadState=loaded
ActiveState={service}
NextElapseUSecRealtime=
"""


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"mono": "1d 2h 3min 14.5s"}, (True, 14.5)),
        ({"mono": "1month 1d"}, (True, 2629800.0 - 7380)),
        ({"real": "Tue 2026-11-24 10:01:00 UTC"}, (True, 60.0)),
        ({"mono": "1d 2h 3min 30s", "real": "Tue 2026-11-24 10:00:10 UTC"}, (True, 10.0)),
        ({"mono": "infinity", "service": "activating"}, (True, None)),
        ({"mono": "infinity"}, (True, None)),
        ({"active": "inactive"}, (False, None)),
        ({"active": "failed"}, (False, None)),
        ({"load": "not-found"}, None),
    ],
)
def test_what_systemctl_prints_of_the_timer(
    changes: dict[str, str], expected: tuple[bool, float | None] | None
) -> None:
    defaults = {"load": "loaded", "active": "active", "real": "", "mono": "infinity", "service": "inactive"}
    monotonic = 86400 + 2 * 3600 + 180.0
    found = timer.parse(SHOWN.format(**{**defaults, **changes}), monotonic, NOW)
    if expected is None:
        assert found is None
        return
    assert found is not None
    assert (found.active, found.next_in) == expected
    assert (found.next_at is None) == (found.next_in is None)
    if found.next_at and found.next_in is not None:
        assert found.next_at - NOW == timedelta(seconds=found.next_in)
    quiet = found.next_in is not None or found.running
    assert (found.note is None) == quiet, "a timer that will not run is explained"


@pytest.mark.parametrize(
    "shown", ["", "garbage", "Id=failover.timer\n", "a=b\n\nc=d", "Id=failover.timer\nLoadState=x"]
)
def test_anything_that_systemctl_may_print_is_survived(shown: str) -> None:
    found = timer.parse(shown, 0.0, NOW)
    assert found is None or not found.active


def test_a_table_keeps_to_its_width_whatever_the_cells_hold() -> None:
    rows = [("NAME", "STATE", "NOTE"), ("n" * 300, "state", "note " * 80), ("名前" * 40, "ok", "\x1b[31mred\x07")]
    for width in (20, 40, 80, 200):
        for line in laid_out(rows, "  ", width):
            text = "".join(part for part, _ in line)
            assert cells(text.rstrip()) <= width
            assert text.isprintable()
    assert elided("名前名前", 5) == "名前…"
    assert elided("", 0) == elided("abc", 0) == ""


# --- the real program ------------------------------------------------------------------------------------------------


def test_it_says_what_the_next_check_will_do_and_touches_nothing(blocked: Sandbox) -> None:
    facts(blocked, "status")  # the config is saved now
    before = blocked.fingerprint()
    seen = facts(blocked, "status")
    assert blocked.fingerprint() == before
    assert (seen["next"]["outcome"], seen["next"]["to"], seen["blocked_pool"]) == ("swapped", "backup", 3)
    assert [(s["name"], s["kind"], s["counted"]) for s in seen["sessions"]] == [
        (f"ccl-auto-{n}", "quota", True) for n in (11, 12, 13)
    ]
    assert blocked.check()["swap"] == {"from": "main", "to": seen["next"]["to"]}
    after = facts(blocked, "status")
    assert (after["active_account"], after["next"]["outcome"], after["last_check"]["outcome"]) == (
        "backup", "cooldown", "swapped",
    )  # fmt: skip
    assert {s["stale"] for s in after["sessions"]} == {True}
    assert after["accounts"][0]["state"] == "exhausted"


def test_a_person_reads_every_situation(blocked: Sandbox) -> None:
    journal = {
        "started_at": stamp(minutes=-3),
        "kind": "swap",
        "from": "main",
        "to": "backup",
        "step": "restart",
        "runs": 2,
    }
    situations: list[tuple[dict[str, Any], str]] = [
        ({}, "would swap to backup: 3 of 3 pool sessions blocked"),
        ({"paused": {"since": stamp(hours=-1), "until": stamp(hours=1), "reason": "dinner"}}, "dinner"),
        ({"last_failure": {"at": stamp(minutes=-2), "reason": "no stores"}}, "no stores"),
        ({"waiting": {"since": stamp(hours=-1), "account": "main", "until": stamp(hours=1), "checks": 7}}, "Waiting"),
        ({"suspected_hit_at": stamp(seconds=-20)}, "Suspected"),
        ({"swap_in_progress": journal}, "at step restart"),
        ({"active_account": "backup"}, "the live login is that of main, not of backup"),
        ({"accounts": {"backup": {"unusable": {"at": stamp(hours=-1), "reason": "blank"}}}}, "failed 1h ago: blank"),
    ]
    fields = ("paused", "last_failure", "waiting", "suspected_hit_at", "swap_in_progress")
    blank: dict[str, Any] = {"active_account": "main", "accounts": {}, **dict.fromkeys(fields)}
    for state, words in situations:
        blocked.set_state(**{**blank, **state})
        text = " ".join(ctl(blocked, "status").stdout.split())
        assert words in text, text


def test_tasks_are_counted_and_their_records_are_not(sandbox: Sandbox, tmp_path: Path) -> None:
    queue = tmp_path / "spool" / "queue"
    queue.mkdir(parents=True)
    for name in ("one", "two", "one.task.json", ".half"):
        (queue / name).write_text("{}")
    sandbox.config["dispatch"] = {"spool": str(tmp_path / "spool")}
    assert facts(sandbox, "status")["tasks"] == {"waiting": 2, "running": 0, "failed": 0}
    assert "Tasks         2 waiting" in ctl(sandbox, "status").stdout


def test_without_tmux_what_is_remembered_is_shown(blocked: Sandbox) -> None:
    blocked.check()
    blocked.config["tmux"]["binary"] = "/nonexistent/tmux"
    done = ctl(blocked, "status")
    assert (done.returncode, "could not be looked at" in done.stdout, "ccl-auto-11" in done.stdout) == (0, True, True)


@every_state
def test_states_that_are_none(sandbox: Sandbox, kind: str) -> None:
    text, code, _ = STATES[kind]
    put_state(sandbox, text)
    done = ctl(sandbox, "status")
    assert done.returncode == code
    assert len(done.stderr.splitlines()) == (code == 74)
    assert code == 74 or "no watched session is running" in done.stdout
    assert not list(sandbox.state_file.parent.glob("*corrupt*")), "nothing is moved by looking"


def test_a_huge_state_is_summed_up(sandbox: Sandbox) -> None:
    sandbox.config["pool"]["autonomous"].update(start_index=0, max=600)
    put_state(sandbox, json.dumps(huge()))
    done = ctl(sandbox, "status")
    assert (done.returncode, len(done.stdout.splitlines()) < 20) == (0, True)
    assert "remembered, but not running now: 500" in done.stdout
    assert len(ctl(sandbox, "status", "--all").stdout.splitlines()) < 520
    assert len(facts(sandbox, "status")["sessions"]) == 500


def test_many_sessions_are_counted_and_the_troubled_ones_shown(sandbox: Sandbox) -> None:
    for number in range(11, 41):
        sandbox.server.start(f"ccl-auto-{number}")
    sandbox.server.show("ops", hit_screen())
    sandbox.config["pool"]["autonomous"]["max"] = 40
    text = ctl(sandbox, "status").stdout
    assert "31 sessions: 30 ok, 1 quota; --all shows each" in text
    assert re.search(r"ops +quota, counts", text)
    assert "ccl-auto-11 " not in text
    assert "ccl-auto-11 " in ctl(sandbox, "status", "--all").stdout


@pytest.mark.parametrize("width", [80, 200])
def test_watch_in_a_real_terminal(blocked: Sandbox, width: int) -> None:
    """It fits, has colour, is redrawn when something changes, and leaves the screen as it was."""
    name = in_pane(blocked, "status", "--watch", "--interval", "100ms", width=width)
    lines = screen(blocked, name, "would swap to backup")
    assert max(map(len, lines)) <= width
    assert lines[-1] == "" or "Ctrl-C" in "".join(lines)
    assert "\x1b[" in "\n".join(screen(blocked, name, "Ctrl-C", "-e"))
    blocked.check()
    screen(blocked, name, "cooldown for another")
    blocked.server.tmux("resize-window", "-t", f"={name}:", "-x", str(width - 20), "-y", "10")
    good = blocked.config_file.read_text()
    blocked.config_file.write_text("quota: {")
    screen(blocked, name, "Trouble")
    blocked.config_file.write_text(good)
    small = screen(blocked, name, "more lines")
    assert (len(small), small[0].startswith("Next check"), "Ctrl-C" in small[-1]) == (10, True, True)
    blocked.server.tmux("send-keys", "-t", f"={name}:", "C-c")
    poll(lambda: not any("ACCOUNT" in line for line in screen(blocked, name, "")))


def test_no_color_and_no_terminal_mean_no_escape(blocked: Sandbox) -> None:
    assert "\x1b" not in ctl(blocked, "status").stdout
    name = in_pane(blocked, "status", width=100, NO_COLOR="1")
    assert "\x1b" not in "\n".join(screen(blocked, name, "ccl-auto-13", "-e"))


def test_the_timers_next_run_is_asked_of_systemd(manager: UserManager) -> None:
    """The real one: waiting, running, stopped."""
    config = manager.folder / "failover.yaml"
    config.write_text(
        json.dumps({"state": {"path": str(manager.folder / "state.json")}, "tmux": {"socket_path": "/x"}})
    )

    def told() -> dict[str, Any]:
        done = manager.run(*CTL, "status", "--json", "--config", str(config))
        found: dict[str, Any] = json.loads(done.stdout)["timer"]
        return found

    manager.drop_in("failover.timer", "[Timer]\nOnActiveSec=\nOnActiveSec=30min\n")
    program(manager, "exec sleep 60")
    manager.systemctl("start", "failover.timer")
    waits = told()
    assert (waits["active"], waits["running"], 1500 < waits["next_in"] <= 1800) == (True, False, True)
    manager.systemctl("start", "--no-block", "failover.service")
    poll(lambda: told()["running"])
    manager.systemctl("stop", "failover.timer", "failover.service")
    assert (told()["active"], "enable --now" in told()["note"]) == (False, True)


def test_it_needs_no_accounts(blocked: Sandbox) -> None:
    blocked.config["accounts"] = []
    done = ctl(blocked, "status")
    assert "a check only observes" in done.stdout
    shutil.rmtree(Path(blocked.claude))
    assert ctl(blocked, "status").returncode == 0
