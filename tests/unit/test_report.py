"""One check's result: its sentence and its JSON."""

import json
from typing import Any

import pytest

from failover_oneshot.model import Outcome, PoolTally, Restart, TaskMove, TaskTally
from failover_oneshot.report import Move, Report, tally, to_json, to_sentence
from tests.support.builders import NOW, at, finding

MOVE = Move(from_="main", to="backup")


def report(outcome: Outcome = Outcome.SWAPPED, **changes: Any) -> Report:
    return Report(**{"outcome": outcome, "reason": "because", "dry_run": False, "at": NOW, **changes})


def restarts(action: str, *sessions: str, status: str = "done", note: str = "") -> tuple[Restart, ...]:
    return tuple(Restart(session=session, action=action, status=status, note=note) for session in sessions)


@pytest.mark.parametrize(
    ("told", "sentence"),
    [
        (report(Outcome.OK), "ok: because"),
        (report(Outcome.OK, dry_run=True), "dry run: ok: because"),
        (report(swap=MOVE), "swapped from main to backup: because"),
        (report(swap=Move(from_=None, to="backup")), "swapped from no account to backup: because"),
        (report(swap=MOVE, dry_run=True), "dry run: swapped: would swap from main to backup: because"),
        (report(Outcome.FAILED, swap=MOVE), "failed: owed: a swap from main to backup: because"),
        (report(restarts=restarts("recreate", "a", "b")), "swapped: because; recreated a, b"),
        (report(restarts=restarts("nudge", "a"), dry_run=True), "dry run: swapped: because; would nudge a"),
        (
            report(restarts=restarts("respawn", "a", status="failed", note="it is gone")),
            "swapped: because; respawned a; FAILED: a (it is gone)",
        ),
        (report(Outcome.OK, notes=("a is left alone",)), "ok: because; a is left alone"),
        (report(Outcome.WAITING, next_possible_at=at(hours=1)),
         "waiting: because; next possible at 2026-11-24T11:00:00Z"),
        (report(Outcome.COOLDOWN, reason="until 2026-11-24T11:00:00Z", next_possible_at=at(hours=1)),
         "cooldown: until 2026-11-24T11:00:00Z"),
    ],
)  # fmt: skip
def test_the_summary_line(told: Report, sentence: str) -> None:
    assert to_sentence(told) == sentence


def test_tasks_are_named_up_to_five_and_then_counted() -> None:
    moves = tuple(TaskMove(action="hand_out", task=f"t{n}", session=f"s{n}", status="done") for n in range(7))
    failed = (TaskMove(action="fail", task="bad", note="it is empty"),)
    assert to_sentence(report(Outcome.OK, moves=(*moves, *failed))) == (
        "ok: because; handed out: t0 to s0, t1 to s1, t2 to s2, t3 to s3, t4 to s4 and 2 more; "
        "tasks FAILED: bad (it is empty)"
    )


def test_how_the_pool_and_the_tasks_stand() -> None:
    assert tally(None, None) == ""
    assert tally(PoolTally(free=2, dead=1), None) == "pool: 2 free, 0 busy, 0 blocked, 1 dead"
    assert tally(PoolTally(held=3), TaskTally(waiting=4)) == (
        "pool: 0 free, 0 busy, 0 blocked, 0 dead, 3 held; tasks: 4 waiting, 0 running, 0 failed"
    )


def test_the_json_is_one_line_and_says_what_was_done() -> None:
    done = restarts("recreate", "a")
    planned = restarts("create", "b", status="pending")
    text = to_json(report(swap=MOVE, findings=(finding(),), restarts=(*done, *planned)))
    value = json.loads(text)
    assert "\n" not in text
    assert (value["version"], value["outcome"], value["at"]) == (1, "swapped", "2026-11-24T10:00:00Z")
    assert value["swap"] == {"from": "main", "to": "backup"}
    assert value["actions"] == [
        {"action": "recreate", "session": "a", "status": "done"}, {"action": "create", "session": "b"},
    ]  # fmt: skip
    [session] = value["sessions"]
    assert (session["name"], session["kind"], session["why_not"]) == ("ccl-auto-11", "quota", None)
