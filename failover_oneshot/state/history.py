"""The history: one entry for each swap, restart, failed attempt and finished wait, oldest first. Pure.

The state keeps every entry exactly as it is in the file. Older versions wrote other keys, and people edit the file, so
reading skips whatever is missing or has another type.
"""

from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Final

from msgspec import Struct, to_builtins
from msgspec.structs import replace

from failover_oneshot.model import Outcome
from failover_oneshot.state.model import State, Utc

_ALWAYS: Final = ("at", "outcome", "from", "to", "reason")
_OF_A_WAIT: Final = (*_ALWAYS, "since", "account", "until")
_OF_AN_ATTEMPT: Final = (*_ALWAYS, "rejected", "sessions", "exhausted_until", "hits")


class HistoryEntry(Struct, frozen=True, kw_only=True, rename={"from_": "from"}):
    """One event of the history."""

    at: Utc | None = None  # None: unreadable
    outcome: str = ""  # an `Outcome`, unless another program wrote it
    from_: str | None = None
    to: str | None = None
    reason: str = ""
    # of a swap, a restart or a failed attempt
    rejected: dict[str, str] = {}  # account to why the swap could not use it
    sessions: dict[str, str] = {}  # session to the action and status of its restart
    exhausted_until: Utc | None = None
    hits: dict[str, Utc] = {}  # session to when its handled hit was first seen
    quotes: dict[str, list[str]] = {}  # snippet to its sessions, as older versions wrote hits
    # of a wait
    since: Utc | None = None
    account: str | None = None
    until: Utc | None = None


def read(written: Mapping[str, Any]) -> HistoryEntry:
    """The entry, with defaults for whatever cannot be read."""
    get = written.get
    return HistoryEntry(
        at=_instant(get("at")),
        outcome=_text(get("outcome")) or "",
        from_=_text(get("from")),
        to=_text(get("to")),
        reason=_text(get("reason")) or "",
        rejected=_texts(get("rejected")),
        sessions=_texts(get("sessions")),
        exhausted_until=_instant(get("exhausted_until")),
        hits=_instants(get("hits")),
        quotes=_quotes(get("hits")),
        since=_instant(get("since")),
        account=_text(get("account")),
        until=_instant(get("until")),
    )


def newest_first(history: Sequence[Mapping[str, Any]]) -> Iterator[HistoryEntry]:
    """The entries of a state's history, newest first. Each is read only when it is needed."""
    return map(read, reversed(history))


def with_history(state: State, entry: HistoryEntry, keep: int) -> State:
    """The state with one more entry, of which the newest ``keep`` remain. The counter of its outcome never shrinks."""
    facts = to_builtins(entry)
    keys = _OF_A_WAIT if entry.outcome == Outcome.WAITING else _OF_AN_ATTEMPT
    written = {key: facts[key] for key in keys}
    counters = {**state.counters, entry.outcome: state.counters.get(entry.outcome, 0) + 1}
    return replace(state, history=(*state.history, written)[-keep:], counters=counters)


def swaps_since(state: State, start: datetime, now: datetime) -> list[datetime]:
    """The times of the completed swaps after ``start``, oldest first."""
    swapped = (_instant(entry.get("at")) for entry in state.history if entry.get("outcome") == Outcome.SWAPPED)
    found = [at for at in swapped if at and start < at <= now]
    if state.last_swap and start < state.last_swap.at <= now and state.last_swap.at not in found:
        found.append(state.last_swap.at)  # a short history must not disable swap.max_per_hour
    return sorted(found)


def _instant(value: object) -> datetime | None:
    try:
        at = datetime.fromisoformat(value) if isinstance(value, str) else None
        return at.astimezone(UTC) if at is not None and at.tzinfo is not None else None
    except (ValueError, OverflowError):
        return None


def _text(value: object) -> str | None:
    return value if isinstance(value, str) else None


def _texts(value: object) -> dict[str, str]:
    return {str(key): str(text) for key, text in value.items()} if isinstance(value, dict) else {}


def _instants(value: object) -> dict[str, datetime]:
    found = {str(key): _instant(text) for key, text in value.items()} if isinstance(value, dict) else {}
    return {key: at for key, at in found.items() if at}


def _quotes(value: object) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for hit in value if isinstance(value, list) else ():
        if isinstance(hit, dict) and hit.get("snippet"):
            found.setdefault(str(hit["snippet"]), []).append(str(hit.get("session")))
    return found
