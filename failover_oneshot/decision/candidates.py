"""Which of the free accounts comes next, by `swap.strategy` (docs/behavior.md, "Candidates"). Pure."""

from collections.abc import Mapping
from datetime import UTC, datetime

from failover_oneshot.config.model import Account, Config, Strategy
from failover_oneshot.state.model import State

LONG_AGO = datetime.min.replace(tzinfo=UTC)
NEVER = datetime.max.replace(tzinfo=UTC)


def candidates(config: Config, state: State, unusable: Mapping[str, str], now: datetime) -> tuple[str, ...]:
    """The accounts that may be swapped to now, best first: enabled, not active, not exhausted, usable."""
    free = [
        account
        for account in _ordered(config, state, now)
        if account.enabled
        and account.name != state.active_account
        and account.name not in unusable
        and not state.exhausted(account.name, now)
    ]
    return tuple(account.name for account in free)


def _ordered(config: Config, state: State, now: datetime) -> list[Account]:
    accounts = list(config.accounts)
    match config.swap.strategy:
        case Strategy.ORDERED:
            return accounts
        case Strategy.ROUND_ROBIN:
            names = [a.name for a in accounts]
            start = names.index(state.active_account) + 1 if state.active_account in names else 0
            return accounts[start:] + accounts[:start]
        case Strategy.LEAST_RECENTLY_USED:
            return sorted(accounts, key=lambda a: state.account(a.name).last_used_at or LONG_AGO)
        case Strategy.SOONEST_RESET:
            return sorted(accounts, key=lambda a: _next_reset(state, a.name, now))


def _next_reset(state: State, name: str, now: datetime) -> tuple[datetime, datetime]:
    """When this account's current window ends, if a warning on a screen said so: what is left of it is lost then.

    Accounts without a known window come last, the one that has been free the longest first.
    """
    memory = state.account(name)
    end = memory.window_resets_at
    return end if end and end > now else NEVER, memory.exhausted_until or LONG_AGO
