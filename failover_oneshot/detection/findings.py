"""Makes one finding per session from the readings, the state and the current time. Pure.

The rules are in docs/behavior.md, "What counts": a reset is resolved once, a handled hit stays handled, and a hit
belongs to the account that its session ran on when it was printed.
"""

from collections.abc import Mapping
from datetime import datetime, timedelta

from msgspec.structs import replace

from failover_oneshot.config.model import Config, Method
from failover_oneshot.detection.identity import same_hit
from failover_oneshot.lib import durations
from failover_oneshot.model import Evidence, Finding, Kind, Limit, Observation, Pane, Reading, Session
from failover_oneshot.state.model import HitMemory, SessionMemory, State, clock, seconds

# Only kinds named in quota.swap_on block a session; the others never cause a swap.
WEEKLY = (Limit.SEVEN_DAY, Limit.SEVEN_DAY_OPUS, Limit.SEVEN_DAY_SONNET)
WORST_FIRST = (Kind.QUOTA, Kind.BILLING, Kind.AUTH, Kind.SERVER_ERROR, Kind.WARNING, Kind.OK, Kind.UNREADABLE)


def detect(config: Config, state: State, observation: Observation) -> tuple[Finding, ...]:
    """One finding for each watched session, in the observation's order."""
    detector = _Detector(config, state, observation.at, observation.zone)
    return tuple(detector.session(session, observation.readings) for session in observation.sessions)


class _Detector:
    def __init__(self, config: Config, state: State, now: datetime, zone: str) -> None:
        self.config = config
        self.state = state
        self.now = now
        self.zone = zone

    def session(self, session: Session, readings: Mapping[str, Reading]) -> Finding:
        """The finding of a session's worst pane: one blocked pane blocks the session."""
        memory = self.state.sessions.get(session.name, SessionMemory())
        found = [self.pane(session, p, readings[p.pane_id], memory) for p in session.panes if p.pane_id in readings]
        if not found:
            errors = {pane.error or "not captured" for pane in session.panes}
            return Finding(
                name=session.name,
                role=session.role,
                kind=Kind.UNREADABLE,
                error=", ".join(sorted(errors)) or "no pane",
            )
        worst = min(found, key=_rank)
        if memory.account and not worst.account:
            worst = replace(worst, account=memory.account)
        # A healthy pane does not clear the hit of another pane that was not read.
        return replace(worst, moved_on=all(f.moved_on for f in found) and len(found) == len(session.panes))

    def pane(self, session: Session, pane: Pane, reading: Reading, memory: SessionMemory) -> Finding:
        """The finding of one pane."""
        hit = reading.kind in self.config.quota.swap_on
        base = Finding(
            name=session.name,
            role=session.role,
            kind=reading.kind,
            limit=reading.limit,
            evidence=reading.evidence,
            rule=reading.rule,
            pattern=reading.pattern,
            snippet=reading.snippet,
            reset_text=reading.reset_text,
            busy=reading.busy,
            moved_on=reading.moved_on or _other_text(reading, pane),
            pane_id=pane.pane_id,
        )
        if reading.kind is Kind.WARNING:
            return replace(base, resets_at=self.resolve(reading))
        if not hit or reading.busy:  # a busy agent is not blocked, whatever its screen shows
            return base
        return self.judge(self.recall(base, reading, memory), memory.account)

    def recall(self, finding: Finding, reading: Reading, memory: SessionMemory) -> Finding:
        """The hit with the values that were fixed when it was first seen: identity, reset, account."""
        old = memory.hit
        if old is not None and self.is_same(old, reading):
            return replace(
                finding,
                blocked=True,
                moved_on=False,
                identity=old.identity if old.identity and not reading.printed_at else reading.identity,
                first_seen=old.first_seen,
                resets_at=old.resets_at or reading.resets_at or self.resolve(reading),
                acted_on=old.acted_on,
                account=old.account,
                limit=finding.limit or old.limit,
                reset_text=old.reset_text or finding.reset_text,
            )
        return replace(
            finding,
            blocked=True,
            moved_on=False,
            identity=reading.identity or f"text:{reading.pattern}",
            first_seen=self.now,
            resets_at=self.resolve(reading),
            account=self.owner(reading, memory),
        )

    def is_same(self, old: HitMemory, reading: Reading) -> bool:
        """Whether the reading shows the hit that the state remembers."""
        if not old.identity:  # written by hand or by an old version: compare the texts
            return old.snippet == reading.snippet or old.pattern == reading.pattern
        if same_hit(old.identity, reading.identity):
            return True
        # The texts of a record and a screen cannot be compared; the time of the record decides.
        mixed = old.identity.startswith("transcript:") != reading.identity.startswith("transcript:")
        if mixed and reading.printed_at is not None:
            return reading.printed_at <= old.first_seen
        return mixed and _close(old.resets_at, reading.resets_at or self.resolve(reading))

    def resolve(self, reading: Reading) -> datetime | None:
        """The reset as an instant, from the record or else from the text as of when it was printed or first seen."""
        if reading.resets_at is not None or not reading.reset_text:
            return reading.resets_at
        from failover_oneshot.detection import resets  # imported here: a healthy check does not need it

        seen_at = reading.printed_at or self.now
        limit = None if reading.limit_is_guess else reading.limit
        found = resets.resolve(reading.reset_text, seen_at, self.zone, limit)
        if found is None:
            return None
        if limit in WEEKLY and not found.exact and found.at - seen_at > timedelta(days=8):
            # No weekly limit is that far ahead: the screen was redrawn, and its date has passed.
            return seconds(found.at - timedelta(days=365))
        return seconds(found.at)  # "in 2 hours" counts from now, which has microseconds

    def owner(self, reading: Reading, memory: SessionMemory) -> str | None:
        """The account of a hit that is seen for the first time."""
        last = self.state.last_swap
        if reading.printed_at and last and reading.printed_at <= last.at:
            return last.from_
        if self.config.swap.method is Method.ENV:
            return memory.account or self.state.active_account
        return self.state.active_account

    def judge(self, finding: Finding, ran_on: str | None) -> Finding:
        """Whether a blocked session counts, and if not, why (docs/behavior.md, "What counts").

        ``why_not`` follows the session's name in the log and in the summary line.
        """
        active = self.state.active_account
        account = finding.account or ran_on
        reset = finding.resets_at
        if finding.acted_on:
            return replace(finding, stale=True, why_not="handled by an earlier swap")
        if reset is not None and reset <= self.now:
            return replace(finding, stale=True, why_not=f"expired at {clock(reset, self.now)}")
        if account is not None and active is not None and account != active:
            return replace(finding, why_not=f"hit {account}'s limit, not the active account's")
        patience = self.config.quota.patience
        if reset is not None and reset - self.now < timedelta(seconds=patience):
            left = durations.format(round((reset - self.now).total_seconds()))
            return replace(finding, why_not=f"resets in {left}, within quota.patience")
        return replace(finding, counted=True)


def _rank(finding: Finding) -> tuple[bool, bool, int]:
    return (not finding.counted, not finding.blocked, WORST_FIRST.index(finding.kind))


def _other_text(reading: Reading, pane: Pane) -> bool:
    """Whether a plain pane shows other text by now. It has no turns, so this is how its hit ends."""
    return reading.kind is Kind.OK and reading.evidence is Evidence.TEXT and bool((pane.text or "").strip())


def _close(a: datetime | None, b: datetime | None) -> bool:
    """Whether two resets are the same instant, within a minute: a screen shows no seconds."""
    return a is not None and b is not None and abs(a - b) <= timedelta(minutes=1)
