"""A look at everything without touching anything: what `status` and `explain` show."""

import os
from datetime import datetime

from msgspec import Struct

from failover_oneshot.accounts import registry
from failover_oneshot.check import know_active
from failover_oneshot.ctl.lib.installation import Installation, told
from failover_oneshot.decision.rules import Action, Decision, before_looking, decide
from failover_oneshot.detection.findings import detect
from failover_oneshot.model import Finding, Outcome
from failover_oneshot.observe import Sight, look
from failover_oneshot.state.model import State, settle
from failover_oneshot.tmux.client import Tmux, TmuxError, TmuxTimeoutError


class Glance(Struct, frozen=True, kw_only=True):
    """What there is now. ``sight`` and ``findings`` are None when tmux could not be asked; then ``notes`` says why."""

    state: State
    sight: Sight | None
    findings: tuple[Finding, ...] | None
    decision: Decision | None  # what a check would decide now
    problems: dict[str, str]  # account to what is wrong with its store
    live: str | None  # whose login is live, where that can be said
    notes: tuple[str, ...]
    exit_code: int


def glance(site: Installation, now: datetime) -> Glance:
    """One look. Raises StoreError when the state can not be read."""
    config = site.config
    remembered, notes, code = told(site.peek(now))
    method = registry.method(config, site.unclaimed, remembered.lineage)
    state, drawn_back = settle(remembered, now)
    state = know_active(config, state, lambda: method)
    problems = {a.name: why for a in config.accounts if (why := method.check(a))}
    sight, findings = None, None
    decision = before_looking(config, state, now)
    named = state.active_account
    try:
        sight = look(config, state, Tmux(config.tmux, os.environ), lambda: method, os.environ, now, always=True)
    except (TmuxError, TmuxTimeoutError) as error:
        notes = (*notes, f"the sessions could not be looked at: {error}")
    else:
        state = sight.state
        if state.active_account != named:
            notes = (*notes, f"the live login is that of {state.active_account}, not of {named}: taken as active")
        findings = detect(config, state, sight.observation, sight.readings, sight.zone)
        decision = decide(config, state, sight.observation, findings, now)
    if code:
        decision = Decision(action=Action.HOLD, outcome=Outcome.STATE_RESET, reason=notes[0])
    return Glance(
        state=state,
        sight=sight,
        findings=findings,
        decision=decision,
        problems=problems,
        live=method.live_account(),
        notes=(*notes, *drawn_back),
        exit_code=code,
    )
