"""Builders of the values that the tests of the pure modules use."""

from datetime import UTC, datetime, timedelta
from typing import Any

from failover_oneshot.config.model import Account, Autonomous, Config, Dedicated, Pool, Quota, Strategy, Swap
from failover_oneshot.model import Evidence, Finding, Kind, Observation, Outcome, Pane, Role, Session
from failover_oneshot.state.model import (
    AccountMemory,
    HitMemory,
    Journal,
    LastCheck,
    LastSwap,
    SessionMemory,
    State,
    SwapStep,
    WarningMemory,
)

NOW = datetime(2026, 11, 24, 10, 0, 0, tzinfo=UTC)


def at(**delta: float) -> datetime:
    """NOW plus a timedelta, such as at(minutes=-5)."""
    return NOW + timedelta(**delta)


def make_config(
    accounts: tuple[str, ...] = ("main", "backup"),
    *,
    quota: dict[str, Any] | None = None,
    swap: dict[str, Any] | None = None,
    dedicated: tuple[str, ...] = ("ops",),
    disabled: tuple[str, ...] = (),
) -> Config:
    """A configuration of two accounts, a pool ccl-auto-11 … ccl-auto-20 and one dedicated session."""
    return Config(
        accounts=tuple(Account(name=n, store=f"/nowhere/{n}", enabled=n not in disabled) for n in accounts),
        swap=Swap(**{"strategy": Strategy.ORDERED, **(swap or {})}),
        quota=Quota(**(quota or {})),
        pool=Pool(
            autonomous=Autonomous(start_index=11, max=10), dedicated=tuple(Dedicated(name=name) for name in dedicated)
        ),
    )


def role_of(name: str) -> Role:
    return Role.POOL if name.startswith("ccl-auto-") else Role.DEDICATED


def finding(name: str = "ccl-auto-11", **changes: Any) -> Finding:
    """The finding of a session that shows a counted hit with a reset in two hours."""
    fields: dict[str, Any] = {
        "name": name,
        "role": role_of(name),
        "kind": Kind.QUOTA,
        "blocked": True,
        "counted": True,
        "evidence": Evidence.SCREEN,
        "pattern": "you've hit your limit",
        "snippet": "You've hit your 5-hour limit · resets 12:00pm (UTC)",
        "resets_at": at(hours=2),
        "first_seen": NOW,
        "account": "main",
        "identity": "screen:aaaaaaaaaaaa:bbbbbbbbbbbb",
    }
    return Finding(**{**fields, **changes})


def healthy(name: str = "ccl-auto-11") -> Finding:
    """The finding of a session that works."""
    return finding(
        name, kind=Kind.OK, blocked=False, counted=False, resets_at=None, snippet=None, identity="", moved_on=True
    )


def unreadable(name: str = "ccl-auto-11") -> Finding:
    """The finding of a session whose pane could not be captured."""
    return Finding(name=name, role=role_of(name), kind=Kind.UNREADABLE, error="not captured")


def hits(*numbers: int, **changes: Any) -> tuple[Finding, ...]:
    """The findings of pool sessions that show a hit; `numbers` are those in their names."""
    return tuple(finding(f"ccl-auto-{number}", **changes) for number in numbers)


def seen(
    findings: tuple[Finding, ...] = (), *, server: bool = True, unusable: dict[str, str] | None = None
) -> Observation:
    """An observation with a session for each finding."""
    sessions = tuple(
        Session(
            name=f.name,
            role=f.role,
            index=int(f.name.rsplit("-", 1)[1]) if f.role is Role.POOL else None,
            session_id=f"${number}",
            panes=(Pane(pane_id=f"%{number}", pid=1000 + number),),
        )
        for number, f in enumerate(findings)
    )
    return Observation(at=NOW, server_running=True, sessions=sessions, unusable=unusable or {})


FULL = State(
    active_account="main",
    last_swap=LastSwap(at=NOW, from_="backup", to="main", reason="because"),
    suspected_hit_at=at(seconds=-3),
    accounts={"backup": AccountMemory(exhausted_until=at(hours=1))},
    sessions={
        "ccl-auto-11": SessionMemory(
            account="main",
            hit=HitMemory(first_seen=NOW, pattern="p", snippet="You’ve hit …", kind=Kind.QUOTA),
            warning=WarningMemory(first_seen=NOW, snippet="91%"),
        )
    },
    swap_in_progress=Journal(started_at=NOW, from_="main", to="backup", step=SwapStep.VERIFY),
    last_check=LastCheck(at=NOW, outcome=Outcome.OK, duration_ms=48),
    history=({"at": "2026-11-24T09:00:00Z", "outcome": "swapped", "from": None},),
)
