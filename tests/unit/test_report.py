"""One check's result: the summary line and the JSON."""

import json
from typing import Any

import pytest

from failover_oneshot.model import Outcome, Restart, TaskMove, TaskTally
from failover_oneshot.report import Move, Report, summary_line, to_json
from tests.support.builders import NOW, finding

MOVE = Move(from_="main", to="backup")


def report(outcome: Outcome = Outcome.SWAPPED, **changes: Any) -> Report:
    return Report(
        **{
            "outcome": outcome,
            "summary": "because",
            "reason": "because at length",
            "dry_run": False,
            "at": NOW,
            **changes,
        }
    )


def restarts(action: str, *sessions: str, status: str = "done", note: str = "") -> tuple[Restart, ...]:
    return tuple(Restart(session=session, action=action, status=status, note=note) for session in sessions)


@pytest.mark.parametrize(
    ("done", "line"),
    [
        (report(Outcome.OK), "ok: because"),
        (report(Outcome.OK, dry_run=True), "dry run: ok: because"),
        (report(swap=MOVE), "swapped main -> backup: because"),
        (report(swap=Move(from_=None, to="backup")), "swapped no account -> backup: because"),
        (report(swap=MOVE, dry_run=True), "dry run: would swap main -> backup: because"),
        (
            report(swap=MOVE, active_account="backup", restarts=restarts("recreate", "a", "b")),
            "swapped main -> backup: because; 2 sessions restarted on backup",
        ),
        (report(active_account="backup", restarts=restarts("nudge", "a")),
         "swapped: because; 1 session continues on backup"),
        (report(active_account="backup", restarts=restarts("nudge", "a", "b")),
         "swapped: because; 2 sessions continue on backup"),
        (report(restarts=restarts("nudge", "a"), dry_run=True), "dry run: swapped: because; would nudge 1 session"),
        (report(Outcome.OK, active_account="main", restarts=restarts("create", "a")), "ok: because; 1 session started"),
        (
            report(restarts=restarts("respawn", "a", status="failed", note="the pane is gone")),
            "swapped: because; 1 session not restarted: a (the pane is gone)",
        ),
        (report(Outcome.OK, notes=("a is not started",)), "ok: because; a is not started"),
        (report(Outcome.OK, tasks=TaskTally(waiting=4, running=1)),
         "ok: because; tasks: 4 queued, 1 running, 0 failed"),
    ],
)  # fmt: skip
def test_the_summary_line(done: Report, line: str) -> None:
    assert summary_line(done) == line


def test_tasks_are_counted_and_failed_ones_named() -> None:
    moves = [TaskMove(action="hand_out", task=f"t{n}", session=f"s{n}", status="done") for n in range(7)]
    moves += [TaskMove(action="finish", task="t8", status="done"), TaskMove(action="requeue", task="t9", status="done")]
    moves += [TaskMove(action="fail", task=f"bad{n}", note="it is empty") for n in range(6)]
    assert summary_line(report(Outcome.OK, moves=moves)) == (
        "ok: because; 7 tasks dispatched; 1 task done; 1 task requeued; 6 tasks failed: bad0 (it is empty), "
        "bad1 (it is empty), bad2 (it is empty), bad3 (it is empty), bad4 (it is empty) and 1 more"
    )


def test_the_json_is_one_line_and_says_what_was_done() -> None:
    done = restarts("recreate", "a")
    planned = restarts("create", "b", status="pending")
    text = to_json(report(swap=MOVE, findings=(finding(),), restarts=(*done, *planned)))
    value = json.loads(text)
    assert "\n" not in text
    assert (value["summary"], value["reason"]) == ("because", "because at length")
    assert (value["version"], value["outcome"], value["at"]) == (1, "swapped", "2026-11-24T10:00:00Z")
    assert value["swap"] == {"from": "main", "to": "backup"}
    assert value["actions"] == [
        {"action": "recreate", "session": "a", "status": "done"}, {"action": "create", "session": "b"},
    ]  # fmt: skip
    [session] = value["sessions"]
    assert (session["name"], session["kind"], session["why_not"]) == ("ccl-auto-11", "quota", None)
