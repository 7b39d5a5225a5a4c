"""One check's result, as the summary line and as JSON (docs/behavior.md, "JSON output"). Pure."""

from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any

import msgspec
from msgspec import Struct

from failover_oneshot.lib.plural import plural, up_to
from failover_oneshot.model import Finding, Outcome, PoolTally, Restart, TaskMove, TaskTally


class Move(Struct, frozen=True, kw_only=True, rename={"from_": "from"}):
    """The two accounts of a swap."""

    from_: str | None
    to: str


class Upkeep(Struct, frozen=True, kw_only=True):
    """What was done to keep the pool at its size."""

    restarts: tuple[Restart, ...] = ()
    notes: tuple[str, ...] = ()  # what was left undone, one sentence each


class Report(Struct, frozen=True, kw_only=True):
    """What one check decided and did; in a dry run, what it would do. Times are UTC."""

    outcome: Outcome
    summary: str  # the text of the summary line, without the outcome and what was done
    reason: str  # the whole sentence, with the evidence
    dry_run: bool
    at: datetime
    active_account: str | None = None
    swap: Move | None = None
    next_possible_at: datetime | None = None
    blocked_pool: int = 0
    blocked_dedicated: int = 0
    findings: tuple[Finding, ...] = ()
    restarts: tuple[Restart, ...] = ()
    moves: tuple[TaskMove, ...] = ()
    pool: PoolTally | None = None  # None: not counted
    tasks: TaskTally | None = None  # None: dispatch is not configured
    notes: tuple[str, ...] = ()
    outcome_before: Outcome | None = None  # the previous check's
    exit_code: int = 0


def to_json(report: Report) -> str:
    """The report as one line of JSON: keys may be added, never renamed (docs/behavior.md, "JSON output")."""
    return msgspec.json.encode(
        {
            "version": 1,
            "outcome": report.outcome,
            "summary": report.summary,
            "reason": report.reason,
            "dry_run": report.dry_run,
            "at": report.at,
            "active_account": report.active_account,
            "swap": report.swap,
            "next_possible_at": report.next_possible_at,
            "blocked_pool": report.blocked_pool,
            "blocked_dedicated": report.blocked_dedicated,
            "sessions": [_session(finding) for finding in report.findings],
            "actions": [*map(_action, report.restarts), *map(_task_action, report.moves)],
            "pool": report.pool,
            "tasks": report.tasks,
            "notes": report.notes,
        }
    ).decode()


def _session(finding: Finding) -> Mapping[str, Any]:
    return {
        "name": finding.name,
        "role": finding.role,
        "kind": finding.kind,
        "blocked": finding.blocked,
        "stale": finding.stale,
        "counted": finding.counted,
        "why_not": finding.why_not or None,
        "account": finding.account,
        "limit": finding.limit,
        "resets_at": finding.resets_at,
        "reset_text": finding.reset_text,
        "first_seen": finding.first_seen,
        "evidence": finding.evidence,
        "rule": finding.rule or None,
        "pattern": finding.pattern,
        "snippet": finding.snippet,
        "error": finding.error,
    }


def _action(restart: Restart) -> Mapping[str, Any]:
    action: dict[str, Any] = {"action": restart.action, "session": restart.session}
    if restart.status in ("done", "failed"):
        action["status"] = restart.status
    if restart.note:
        action["note"] = restart.note
    return action


def _task_action(move: TaskMove) -> Mapping[str, Any]:
    action: dict[str, Any] = {"action": move.action, "session": move.session, "task": move.task}
    if move.status in ("done", "failed"):
        action["status"] = move.status
    if move.note:
        action["note"] = move.note
    return action


def summary_line(report: Report) -> str:
    """The one line on stdout: the outcome, why, and what was done. Names and evidence are in the log and `to_json`."""
    return f"{_head(report)}: " + "; ".join((report.summary, *_sessions(report), *_tasks(report), *report.notes))


def _head(report: Report) -> str:
    """The outcome; a swap with its accounts: `swapped main -> backup`."""
    if report.swap is None:
        return f"dry run: {report.outcome}" if report.dry_run else str(report.outcome)
    accounts = f"{report.swap.from_ or 'no account'} -> {report.swap.to}"
    if report.dry_run:
        return f"dry run: would swap {accounts}"
    return f"{report.outcome} {accounts}"


def _sessions(report: Report) -> Iterator[str]:
    """What was done with sessions: `3 sessions restarted on backup`, `1 session started`; failures by name."""
    on = f" on {report.active_account}" if report.active_account else ""
    for actions, verb in (({"recreate", "respawn"}, "restart"), ({"nudge"}, "nudge"), ({"create"}, "start")):
        count = sum(r.action in actions and r.status != "failed" for r in report.restarts)
        if count and report.dry_run:
            yield f"would {verb} {plural(count, 'session')}"
        elif count and verb == "nudge":
            yield f"{plural(count, 'session')} continue{'s' if count == 1 else ''}{on}"
        elif count:
            yield f"{plural(count, 'session')} {verb}ed{on if verb == 'restart' else ''}"
    failed = [f"{r.session} ({r.note})" for r in report.restarts if r.status == "failed"]
    if failed:
        yield f"{plural(len(failed), 'session')} not restarted: {up_to(5, failed)}"


def _tasks(report: Report) -> Iterator[str]:
    """What was done with tasks, then how many there are: `2 tasks dispatched`; failures by name."""
    for action, past, future in (
        ("hand_out", "dispatched", "dispatch"),
        ("finish", "done", "finish"),
        ("requeue", "requeued", "requeue"),
    ):
        count = sum(m.action == action and m.status != "failed" for m in report.moves)
        if count:
            tasks = plural(count, "task")
            yield f"would {future} {tasks}" if report.dry_run else f"{tasks} {past}"
    failed = [f"{m.task} ({m.note})" for m in report.moves if m.action == "fail" or m.status == "failed"]
    if failed:
        yield f"{plural(len(failed), 'task')} failed: {up_to(5, failed)}"
    if report.tasks:
        yield f"tasks: {report.tasks.waiting} queued, {report.tasks.running} running, {report.tasks.failed} failed"
