"""What the state and the folder beside it say about the accounts' credentials. Reads only."""

from collections.abc import Callable, Mapping
from pathlib import Path

from msgspec import Struct

from failover_oneshot.accounts import kept
from failover_oneshot.state.model import State, stamp


class Memory(Struct, frozen=True):
    """The state, and its folder, which holds `unclaimed/` and `generations/`."""

    folder: Path
    state: State
    guard: Callable[[], None] = lambda: None  # called before each change; raises when another check may be running

    @property
    def lineage(self) -> Mapping[str, str]:
        """Fingerprints of credentials that were live, to account names."""
        return self.state.lineage

    @property
    def installed(self) -> str | None:
        """Whose credentials the last swap made live; None before the first swap."""
        return self.state.active_account if self.state.last_swap else None

    @property
    def unclaimed(self) -> Path:
        """The folder for credentials that no store may take."""
        return self.folder / kept.UNCLAIMED

    def problem(self, account: str, holds: Callable[[str], bool]) -> str | None:
        """Why the stored credentials of an account may no longer work; None if nothing says so.

        ``holds``: whether the account's store holds the credentials of a fingerprint.
        """
        for key, doubt in self.state.unclaimed.items():
            if doubt.account == account and any(entry.id == key for entry in kept.entries(self.unclaimed)):
                return (
                    f"unclaimed/{key} may hold newer credentials of {account}; "
                    f"run `failoverctl accounts unclaimed assign {key} {account}` if they are its own"
                )
        trouble = self.state.account(account).unusable
        if trouble and trouble.stored and holds(trouble.stored):
            return f"{trouble.reason} ({stamp(trouble.at)}); log in again"
        return None
