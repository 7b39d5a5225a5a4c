"""One check's result as a sentence and as JSON (docs/behavior.md, "JSON output"). Pure."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

import msgspec
from msgspec import Struct

from failover_oneshot.model import Finding, Outcome, PoolTally, Restart, TaskMove, TaskTally
from failover_oneshot.state.model import stamp


class Move(Struct, frozen=True, kw_only=True, rename={"from_": "from"}):
    """From which account to which."""

    from_: str | None
    to: str


class Upkeep(Struct, frozen=True, kw_only=True):
    """What was done for the pool's size."""

    restarts: tuple[Restart, ...] = ()
    notes: tuple[str, ...] = ()  # what was not done, one sentence each


class Report(Struct, frozen=True, kw_only=True):
    """What one check decided and did; in a dry run, what it would do."""

    outcome: Outcome
    reason: str
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
    pool: PoolTally | None = None  # None: not looked at
    tasks: TaskTally | None = None  # None: there is no spool
    notes: tuple[str, ...] = ()
    outcome_before: Outcome | None = None  # of the check before
    exit_code: int = 0


def to_json(report: Report) -> str:
    """The report as one line of JSON: keys may be added, never renamed (docs/behavior.md, "JSON output")."""
    return msgspec.json.encode(
        {
            "version": 1,
            "outcome": report.outcome,
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


def to_sentence(report: Report) -> str:
    """The summary line: what was decided, why, and until when."""
    head = str(report.outcome)
    if report.dry_run:
        head = f"dry run: {head}"
    if report.swap:
        done = not report.dry_run and report.outcome is Outcome.SWAPPED
        moved = "" if done else ": would swap" if report.dry_run else ": owed: a swap"
        head += f"{moved} from {report.swap.from_ or 'no account'} to {report.swap.to}"
    parts = [f"{head}: {report.reason}"]
    for action in ("recreate", "respawn", "nudge", "create"):
        names = [r.session for r in report.restarts if r.action == action]
        if names:
            parts.append(f"{_verb(action, report.dry_run)} {', '.join(names)}")
    failed = [f"{r.session} ({r.note})" for r in report.restarts if r.status == "failed"]
    if failed:
        parts.append(f"FAILED: {', '.join(failed)}")
    parts += _task_parts(report)
    parts += report.notes
    if standing := tally(report.pool, report.tasks):
        parts.append(standing)
    if report.next_possible_at and stamp(report.next_possible_at) not in report.reason:
        parts.append(f"next possible at {stamp(report.next_possible_at)}")
    return "; ".join(parts)


def _task_parts(report: Report) -> list[str]:
    parts = []
    for action, past, would in (
        ("hand_out", "handed out", "would hand out"),
        ("finish", "done", "would be done"),
        ("requeue", "back in the queue", "would go back to the queue"),
    ):
        names = [f"{m.task} to {m.session}" if action == "hand_out" else m.task
                 for m in report.moves if m.action == action and m.status != "failed"]  # fmt: skip
        if names:
            more = f" and {len(names) - 5} more" if len(names) > 5 else ""
            parts.append(f"{would if report.dry_run else past}: {', '.join(names[:5])}{more}")
    bad = [f"{m.task} ({m.note})" for m in report.moves if m.action == "fail" or m.status == "failed"]
    if bad:
        more = f" and {len(bad) - 5} more" if len(bad) > 5 else ""
        parts.append(f"tasks FAILED: {', '.join(bad[:5])}{more}")
    return parts


def tally(pool: PoolTally | None, tasks: TaskTally | None) -> str:
    """How the pool and the tasks stand, for the summary line and `failoverctl status`; "" when neither is known."""
    parts = []
    if pool:
        text = f"{pool.free} free, {pool.busy} busy, {pool.blocked} blocked, {pool.dead} dead"
        parts.append(f"pool: {text}, {pool.held} held" if pool.held else f"pool: {text}")
    if tasks:
        parts.append(f"tasks: {tasks.waiting} waiting, {tasks.running} running, {tasks.failed} failed")
    return "; ".join(parts)


def _verb(action: str, dry_run: bool) -> str:
    past = {"recreate": "recreated", "respawn": "respawned", "nudge": "nudged", "create": "created"}
    return f"would {action}" if dry_run else past[action]
