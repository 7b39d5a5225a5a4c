"""A swap by hand: the same decision value as a check's, or the reason why it is refused. Pure."""

from collections.abc import Sequence
from datetime import datetime

from msgspec import Struct

from failover_oneshot.config.model import Config
from failover_oneshot.decision.candidates import candidates
from failover_oneshot.decision.decision import Action, Decision
from failover_oneshot.decision.rules import HOUR, swaps_last_hour
from failover_oneshot.decision.waiting import exhausted_until
from failover_oneshot.decision.wording import nothing_free, shown, tally, too_many_swaps
from failover_oneshot.errors import EXIT_FAILED, EXIT_USAGE, FailoverError
from failover_oneshot.model import Finding, Observation, Outcome, Role
from failover_oneshot.state.model import State, seconds, stamp


class Order(Struct, frozen=True, kw_only=True):
    """A swap by hand. ``to`` None: the account that the strategy picks; ``force``: even if exhausted or disabled."""

    to: str | None = None
    force: bool = False


class NothingDoneError(FailoverError):
    """The order is refused: the message says why; exit code 0 if there was nothing to do."""

    def __init__(self, sentence: str, exit_code: int = EXIT_FAILED) -> None:
        super().__init__(sentence)
        self.exit_code = exit_code


def obey(
    config: Config, state: State, observation: Observation, findings: Sequence[Finding], order: Order, now: datetime
) -> Decision:
    """The decision that the order asks for. It ignores the pause and the cooldown: the operator's order is newer.

    Raises NothingDoneError when the order is refused.
    """
    if not config.accounts:
        raise NothingDoneError("no accounts configured; add them under `accounts` in the config")
    chosen = (
        (_named(config, state, observation, order.to, order, now),)
        if order.to
        else _picked(config, state, observation, now)
    )
    swaps = swaps_last_hour(state, now)
    if len(swaps) >= config.swap.max_per_hour and not order.force:
        free_at = seconds(swaps[-config.swap.max_per_hour] + HOUR)
        raise NothingDoneError(
            f"{too_many_swaps(config, swaps)}; next possible at {stamp(free_at)}, or now with --force"
        )
    counted = [f for f in findings if f.counted]
    pool = sum(f.role is Role.POOL for f in counted)
    until = exhausted_until(config, state, counted, now) if counted else None
    evidence = f": {shown(counted)}; {state.active_account} is exhausted until {stamp(until)}" if until else ""
    return Decision(
        action=Action.SWAP,
        outcome=Outcome.SWAPPED,
        summary="by hand",
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
        raise NothingDoneError(f"no account named '{name}' (accounts: {known})", EXIT_USAGE)
    if name == state.active_account:
        raise NothingDoneError(f"{name} is already the active account; nothing to do", 0)
    if why := observation.unusable.get(name):
        raise NothingDoneError(f"cannot swap to {name}: {why}; run `failoverctl accounts check {name}`")
    if not account.enabled and not order.force:
        raise NothingDoneError(f"{name} is disabled in the config; enable it there, or use --force")
    until = state.account(name).exhausted_until
    if until is not None and until > now and not order.force:
        raise NothingDoneError(
            f"{name} is exhausted until {stamp(until)}; wait, run `failoverctl reset {name}` if that is wrong, or use "
            "--force"
        )
    return name


def _picked(config: Config, state: State, observation: Observation, now: datetime) -> tuple[str, ...]:
    found = candidates(config, state, observation.unusable, now)
    if found:
        return found
    raise NothingDoneError(
        f"{nothing_free(config, state, observation, None)}; --to NAME --force swaps to an exhausted one"
    )
