"""A read-only observation for `status` and `explain`: the state, the sessions, and what a check would decide."""

import os
from datetime import datetime

from msgspec import Struct

from failover_oneshot.accounts import registry
from failover_oneshot.accounts.method import MethodError, SwapMethod
from failover_oneshot.ctl.lib.installation import Installation, told
from failover_oneshot.ctl.lib.kept_credentials import unclaimed_rows
from failover_oneshot.ctl.lib.status import UnclaimedRow
from failover_oneshot.decision.decision import Action, Decision
from failover_oneshot.decision.pipeline import assess, prepare
from failover_oneshot.decision.rules import before_observing
from failover_oneshot.model import Finding, Observation, Outcome
from failover_oneshot.observe import observe
from failover_oneshot.state.model import State
from failover_oneshot.swap import watch
from failover_oneshot.tmux.client import TmuxError, TmuxReader, TmuxTimeoutError


class Snapshot(Struct, frozen=True, kw_only=True):
    """The installation at one instant. ``observation`` and ``findings`` are None if tmux failed; ``notes`` say why."""

    state: State
    observation: Observation | None
    findings: tuple[Finding, ...] | None
    decision: Decision | None  # what a check would decide now
    problems: dict[str, str]  # account to the problem with its store
    live: str | None  # the account that the live credentials belong to, if known
    unclaimed: tuple[UnclaimedRow, ...]
    notes: tuple[str, ...]
    exit_code: int


def snapshot(site: Installation, now: datetime) -> Snapshot:
    """Observe everything and change nothing. Raises StoreError if the state cannot be read."""
    config = site.config
    remembered, notes, code = told(site.peek(now))
    method = registry.method(config, site.folder, remembered)
    state, drawn_back, _ = prepare(config, remembered, now, method.live_account, method.holds)
    problems = {a.name: why for a in config.accounts if (why := method.check(a))}
    named = state.active_account
    state = watch.found(config, state, method, now)
    observation, findings, decision = None, None, before_observing(config, state, now)
    try:
        tmux = TmuxReader(config.tmux, os.environ)
        found = assess(
            config, state, now, lambda s: observe(config, s, tmux, lambda: method, os.environ, now, always=True),
            always=True,
        )  # fmt: skip
    except (TmuxError, TmuxTimeoutError) as error:
        notes = (*notes, f"cannot read the sessions: {error}")
    else:
        state, observation, findings, decision = found.state, found.observation, found.findings, found.decision
        if state.active_account != named:
            now_active = state.active_account
            text = f"the live credentials belong to {now_active}, the state says {named}; using {now_active} as active"
            notes = (*notes, text)
    live, unreadable = live_account(method)
    if unreadable:
        notes = (*notes, unreadable)
    if code:
        decision = Decision(action=Action.HOLD, outcome=Outcome.STATE_RESET, summary=notes[0], reason=notes[0])
    return Snapshot(
        state=state,
        observation=observation,
        findings=findings,
        decision=decision,
        problems=problems,
        live=live,
        unclaimed=unclaimed_rows(site.folder, state),
        notes=(*notes, *drawn_back),
        exit_code=code,
    )


def live_account(method: SwapMethod) -> tuple[str | None, str]:
    """The account whose credentials are live, if that is certain, and a note if it is in doubt or unreadable."""
    try:
        verdict = method.verdict()
    except MethodError as error:
        return None, f"cannot read the live credentials: {error}"
    doubt = f"the owner of the live credentials is in doubt: {verdict.sentence}" if verdict.suspect else ""
    return verdict.owner, doubt
