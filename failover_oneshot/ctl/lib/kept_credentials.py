"""Kept credentials as the commands show them: generations and unclaimed credentials. No token leaves this module."""

from collections.abc import Iterable
from datetime import datetime
from pathlib import Path

from msgspec import Struct

from failover_oneshot.accounts import kept
from failover_oneshot.accounts.kept import Entry
from failover_oneshot.ctl.lib.status import UnclaimedRow
from failover_oneshot.ctl.lib.store_contents import expiry_of, owner_of
from failover_oneshot.ctl.lib.times import ago, span
from failover_oneshot.state.model import State, seconds

IN_DOUBT = "identity-in-doubt"  # the name of an identity that was beside credentials of another account


class GenerationRow(Struct, frozen=True, kw_only=True):
    """One generation of an account, as `--json` prints it."""

    generation: str
    at: datetime  # when these credentials were last replaced
    identity: str | None
    expires_at: datetime | None  # of the access token


def generation_rows(folder: Path, account: str) -> tuple[GenerationRow, ...]:
    """The account's generations below the folder of the state, the newest first."""
    rows = []
    for entry in kept.entries(kept.generations(folder, account)):
        identity, expires_at = _facts(entry)
        rows.append(GenerationRow(generation=entry.id, at=seconds(entry.at), identity=identity, expires_at=expires_at))
    return tuple(rows)


def unclaimed_rows(folder: Path, state: State) -> tuple[UnclaimedRow, ...]:
    """The entries of `unclaimed/` in the folder of the state, the newest first."""
    rows = []
    for entry in kept.entries(folder / kept.UNCLAIMED):
        identity, expires_at = _facts(entry)
        known = state.unclaimed.get(entry.id)
        rows.append(
            UnclaimedRow(
                file=entry.id,
                at=seconds(known.at if known else entry.at),
                identity=identity,
                expires_at=expires_at,
                account=known.account if known else None,
                reason=known.reason if known else None,
            )
        )
    return tuple(rows)


def described(row: GenerationRow | UnclaimedRow, now: datetime) -> str:
    """Whose and how old they are, such as `ada@example.com, replaced 3h ago, access token expired 2h ago`."""
    verb = "replaced" if isinstance(row, GenerationRow) else "found"
    parts = [row.identity or "identity unknown", f"{verb} {ago(row.at, now)}"]
    if row.expires_at:
        left = (row.expires_at - now).total_seconds()
        parts.append(f"access token {f'valid for {span(left)}' if left > 0 else f'expired {ago(row.expires_at, now)}'}")
    return ", ".join(parts)


def in_short(rows: Iterable[GenerationRow], now: datetime) -> str:
    """How many generations there are and when the newest was replaced, such as `3, newest 2h ago`."""
    found = tuple(rows)
    return f"{len(found)}, newest {ago(found[0].at, now)}" if found else ""


def assign_command(row: UnclaimedRow) -> str:
    """The command that assigns an entry."""
    return f"failoverctl accounts unclaimed assign {row.file} {row.account or 'NAME'}"


def unclaimed_text(row: UnclaimedRow, now: datetime) -> str:
    """An entry of `unclaimed/` in one sentence, without the command."""
    whose = f", perhaps {row.account}'s" if row.account else ""
    reason = f": {row.reason}" if row.reason else ""
    return f"{row.file}{whose} ({described(row, now)}){reason}"


def _facts(entry: Entry) -> tuple[str | None, datetime | None]:
    """The identity and expiry in an entry; unknown where it cannot be read."""
    try:
        contents = [content for name, content in entry.contents().items() if name != IN_DOUBT]
    except (OSError, ValueError):
        return None, None
    return owner_of(contents), expiry_of(contents)
