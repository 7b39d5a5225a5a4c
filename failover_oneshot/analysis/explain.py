"""Says what a check would decide if sessions showed a given text. Pure."""

from datetime import datetime, timedelta

from msgspec import Struct
from msgspec.structs import replace

from failover_oneshot.config.model import Account, Config
from failover_oneshot.decision.decision import Decision
from failover_oneshot.decision.pipeline import Assessment, assess
from failover_oneshot.model import Finding, Kind, Observation, Pane, Reading, Role, Session
from failover_oneshot.state.model import State


class Consequence(Struct, frozen=True, kw_only=True):
    """What a check would decide if sessions showed this."""

    finding: Finding
    needed: int  # pool sessions that must show it (quota.pool_threshold)
    decision: Decision  # of the first check that sees that many
    confirmed: Decision | None  # of the next check, if the first one only suspects a hit


def consequence(config: Config, reading: Reading, now: datetime, zone: str) -> Consequence:
    """Apply the rules to as many pool sessions as the threshold needs, all showing ``reading``.

    The state is fresh, and there is an account to swap to.
    """
    if len(config.accounts) < 2:
        config = replace(config, accounts=(Account(name="the active account"), Account(name="the next account")))
    config = replace(config, accounts=tuple(replace(a, enabled=True) for a in config.accounts))
    needed = config.quota.pool_threshold
    names = [f"{config.pool.autonomous.prefix}{config.pool.autonomous.start_index + n}" for n in range(needed)]
    sessions = tuple(
        Session(name=name, role=Role.POOL, index=n, session_id=f"${n}", panes=(Pane(pane_id=f"%{n}", pid=n + 1),))
        for n, name in enumerate(names)
    )
    readings = {f"%{n}": reading for n in range(needed)}
    state = State(active_account=config.accounts[0].name)

    def at(when: datetime, known: State) -> Assessment:
        observation = Observation(at=when, server_running=True, sessions=sessions, readings=readings, zone=zone)
        return assess(config, known, when, lambda state: (state, observation))

    first = at(now, state)
    confirmed = None
    if first.decision.suspected_hit_at is not None:
        later = now + timedelta(seconds=config.quota.poll_interval)
        confirmed = at(later, replace(state, suspected_hit_at=first.decision.suspected_hit_at)).decision
    return Consequence(finding=first.findings[0], needed=needed, decision=first.decision, confirmed=confirmed)


def in_words(what: Consequence) -> str:
    """The consequence as one sentence."""
    finding = what.finding
    if finding.kind in {Kind.OK, Kind.WARNING, Kind.SERVER_ERROR, Kind.UNREADABLE} and not finding.blocked:
        return f"a session showing this is not blocked ({finding.kind}); checks do not swap for it"
    if finding.busy:
        return "the agent is busy; a session showing this is not blocked"
    if not finding.blocked:
        return f"{finding.kind} is not in quota.swap_on; it is reported, but checks do not swap for it"
    if not finding.counted:
        return f"a session showing this is blocked but not counted: {finding.why_not}"
    many = f"{what.needed} such pool sessions (quota.pool_threshold)" if what.needed > 1 else "1 such session"
    if what.confirmed is not None:
        return f"with {many}, the first check only suspects a hit; the next check's outcome is {what.confirmed.outcome}"
    return f"with {many}, the check's outcome is {what.decision.outcome}"
