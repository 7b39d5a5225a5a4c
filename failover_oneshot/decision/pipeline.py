"""From a state to a decision: the check, `status`, `replay` and `explain` all use `assess`. Pure.

The function that observes is an argument, so that a recorded observation is treated like a fresh one.
"""

from collections.abc import Callable
from datetime import datetime
from typing import TYPE_CHECKING

from msgspec import Struct
from msgspec.structs import replace

from failover_oneshot.config.model import Account, Config
from failover_oneshot.decision.decision import Action, Decision
from failover_oneshot.decision.rules import before_observing, decide
from failover_oneshot.detection.findings import detect
from failover_oneshot.model import Finding, Observation
from failover_oneshot.state.model import State
from failover_oneshot.state.transitions import follow_names, settle

if TYPE_CHECKING:
    from failover_oneshot.decision.manual import Order

Observe = Callable[[State], tuple[State, Observation]]
"""Observes; the returned state includes what was learned, such as an account that somebody logged in to by hand."""


class Assessment(Struct, frozen=True, kw_only=True):
    """A decision and what it is based on. ``observation`` is None if the state alone decided."""

    state: State
    observation: Observation | None
    findings: tuple[Finding, ...]
    decision: Decision


def prepare(
    config: Config,
    state: State,
    now: datetime,
    live_account: Callable[[], str | None],
    holds: Callable[[Account, str], bool],
) -> tuple[State, tuple[str, ...], dict[str, str]]:
    """The loaded state made ready for a check, warnings, and the accounts that the config has renamed (old to new).

    It has no times in the future, and an active account that exists.

    ``live_account`` returns the account whose credentials are live; it is called only if the state names no account of
    the config. ``holds``: whether an account's store holds the credentials of a fingerprint; it is called only if the
    state knows an account that the config does not name.
    """
    state, notes = settle(state, now)
    state, renamed = follow_names(config.accounts, state, holds)
    notes += [
        f"account {old} is named {new} in the config now; it keeps what is known about it"
        for old, new in renamed.items()
    ]
    if config.account(state.active_account) or not config.accounts or state.swap_in_progress:
        return state, tuple(notes), renamed
    enabled = [a.name for a in config.accounts if a.enabled]
    name = live_account() or (enabled[0] if enabled else config.accounts[0].name)
    if state.active_account:
        notes.append(f"active account {state.active_account} is no longer in the config; using {name}")
    return replace(state, active_account=name), tuple(notes), renamed


def assess(
    config: Config,
    state: State,
    now: datetime,
    observe: Observe,
    *,
    order: "Order | None" = None,
    always: bool = False,
) -> Assessment:
    """The decision for this instant, with the findings that it is based on.

    ``order``: a swap by hand, which replaces the check's own rules. ``always``: observe even if the state alone
    decides, for callers that show the sessions.

    Raises what ``observe`` raises, and NothingDoneError for an order that is refused.
    """
    early = before_observing(config, state, now)
    if order and early and early.action is not Action.FINISH:
        early = None  # the operator's order is newer than the pause and the cooldown
    if early and not always:
        return Assessment(state=state, observation=None, findings=(), decision=early)
    state, observation = observe(state)
    findings = detect(config, state, observation)
    decision = early or _decided(config, state, observation, findings, order, now)
    return Assessment(state=state, observation=observation, findings=findings, decision=decision)


def _decided(
    config: Config,
    state: State,
    observation: Observation,
    findings: tuple[Finding, ...],
    order: "Order | None",
    now: datetime,
) -> Decision:
    if order is None:
        return decide(config, state, observation, findings, now)
    from failover_oneshot.decision.manual import obey  # here: a check by the timer has no order

    return obey(config, state, observation, findings, order, now)
