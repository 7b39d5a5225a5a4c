"""A swap that the operator orders: the same decision value as a check's, or the sentence why nothing is done. Pure."""

from collections.abc import Sequence
from datetime import datetime

from msgspec import Struct

from failover_oneshot.config.model import Config
from failover_oneshot.decision.candidates import candidates
from failover_oneshot.decision.decision import Action, Decision
from failover_oneshot.decision.rules import HOUR, exhausted_until, swaps_last_hour
from failover_oneshot.decision.wording import shown, tally
from failover_oneshot.errors import EXIT_FAILED, EXIT_USAGE, FailoverError
from failover_oneshot.model import Finding, Observation, Outcome, Role
from failover_oneshot.state.model import State, seconds, stamp


class Order(Struct, frozen=True, kw_only=True):
    """``to`` None: whichever account the strategy picks. ``force``: also one that is exhausted or disabled."""

    to: str | None = None
    force: bool = False


class NothingDoneError(FailoverError):
    """The order changes nothing: the sentence why, and the exit code (0 where nothing needed to be done)."""

    def __init__(self, sentence: str, exit_code: int = EXIT_FAILED) -> None:
        super().__init__(sentence)
        self.exit_code = exit_code


def obey(
    config: Config, state: State, observation: Observation, findings: Sequence[Finding], order: Order, now: datetime
) -> Decision:
    """The decision that the order asks for. Pause and cooldown are the checks' business: the operator's word is newer.

    Raises NothingDoneError when it is not to be carried out.
    """
    if not config.accounts:
        raise NothingDoneError("no accounts are configured: name them under accounts in the config first")
    chosen = (
        (_named(config, state, observation, order.to, order, now),)
        if order.to
        else _picked(config, state, observation, now)
    )
    swaps = swaps_last_hour(state, now)
    if len(swaps) >= config.swap.max_per_hour and not order.force:
        free_at = seconds(swaps[-config.swap.max_per_hour] + HOUR)
        raise NothingDoneError(
            f"not swapped: {len(swaps)} swaps in the last hour, and swap.max_per_hour is {config.swap.max_per_hour}; "
            f"possible again at {stamp(free_at)}, or now with --force"
        )
    counted = [f for f in findings if f.counted]
    pool = sum(f.role is Role.POOL for f in counted)
    until = exhausted_until(config, state, counted, now) if counted else None
    evidence = f": {shown(counted)}; {state.active_account} is exhausted until {stamp(until)}" if until else ""
    return Decision(
        action=Action.SWAP,
        outcome=Outcome.SWAPPED,
        reason=f"by hand; {tally(config, findings, pool, len(counted) - pool)}{evidence}",
        blocked_pool=pool,
        blocked_dedicated=len(counted) - pool,
        candidates=chosen,
        exhausted_until=until,
        acted_on=tuple(f.name for f in findings if f.blocked),
    )


def _named(config: Config, state: State, observation: Observation, name: str, order: Order, now: datetime) -> str:
    account = config.account(name)
    if account is None:
        known = ", ".join(a.name for a in config.accounts)
        raise NothingDoneError(f"{name} is no account of the config (there are: {known})", EXIT_USAGE)
    if name == state.active_account:
        raise NothingDoneError(f"{name} is the active account already: nothing is changed", 0)
    if why := observation.unusable.get(name):
        raise NothingDoneError(f"{name} can not be swapped to: {why}; `failoverctl accounts check {name}` says more")
    if not account.enabled and not order.force:
        raise NothingDoneError(f"{name} is disabled in the config: enable it there, or use --force")
    until = state.account(name).exhausted_until
    if until is not None and until > now and not order.force:
        raise NothingDoneError(
            f"{name} is exhausted until {stamp(until)}: wait, or forget that with `failoverctl reset {name}`, or use "
            "--force"
        )
    return name


def _picked(config: Config, state: State, observation: Observation, now: datetime) -> tuple[str, ...]:
    found = candidates(config, state, observation.unusable, now)
    if found:
        return found
    parts = []
    for account in config.accounts:
        until = state.account(account.name).exhausted_until
        if account.name == state.active_account:
            parts.append(f"{account.name} is the active one")
        elif not account.enabled:
            parts.append(f"{account.name} is disabled")
        elif why := observation.unusable.get(account.name):
            parts.append(f"{account.name} can not be used: {why}")
        elif until is not None:
            parts.append(f"{account.name} is exhausted until {stamp(until)}")
    raise NothingDoneError(f"no account is free: {', '.join(parts)}; --to NAME --force takes an exhausted one")
