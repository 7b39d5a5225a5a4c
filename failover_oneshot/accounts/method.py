"""The protocol of a swap method, and the one error that it raises."""

from collections.abc import Mapping
from contextlib import AbstractContextManager
from typing import Protocol

from msgspec import Struct

from failover_oneshot.accounts.ownership import Ownership
from failover_oneshot.config.model import Account
from failover_oneshot.errors import EXIT_FAILED, FailoverError


class MethodError(FailoverError):
    """A step failed. The message is one sentence, free of secrets.

    The files are as before the step unless `restored` is false. Then the journal must stay and the step be repeated.
    """

    exit_code = EXIT_FAILED

    def __init__(self, sentence: str, *, restored: bool = True) -> None:
        super().__init__(sentence)
        self.restored = restored


class Saved(Struct, frozen=True):
    """What `save_back` has done. ``unclaimed``: the entry of credentials that no store may take; "" for none."""

    text: str  # one sentence; for unclaimed credentials why no store may take them
    unclaimed: str = ""
    suspect: str | None = None  # the account that they may belong to


class SwapMethod(Protocol):
    """How an account becomes the active one. Raises only `MethodError`.

    The caller enters `exclusive` and calls `save_back`, `prepare`, `install` and `verify` in this order. It writes the
    note to its journal before `install`. A step that was killed is called again, with the note if there is one.
    """

    def check(self, account: Account) -> str | None:
        """Why the account cannot be swapped to, as one sentence; None when it can. Reads only."""

    def verdict(self) -> Ownership:
        """Whose the live credentials are, and why. Reads only; MethodError when they cannot be read."""

    def live_account(self) -> str | None:
        """The configured account whose credentials are live; None when in doubt or unreadable. Reads only."""

    def holds(self, account: Account, mark: str) -> bool:
        """Whether the account's store holds the credentials of this fingerprint. Reads only."""

    def given_up(self, active: Account | None) -> tuple[Account, str] | None:
        """Whose live credentials the agent has blanked, with the fingerprint of the stored ones; None if it has not.

        Blank credentials that do not name their account belong to ``active``, if anything shows that they were.
        Reads only.
        """

    def refusal(self, account: Account) -> str | None:
        """Why the live credentials cannot be captured for the account; None when they can. Reads only."""

    def foreign(self, account: Account, files: Mapping[str, bytes]) -> str | None:
        """Why kept files, by name without a leading dot, cannot be the account's; None when they can. Reads only."""

    def restore(self, account: Account, files: Mapping[str, bytes]) -> str:
        """Make kept files the store's content; what was there is kept first.

        MethodError when `foreign` has a reason. The caller has entered `exclusive`.
        """

    def reconcile(self, account: Account, left: str | None = None) -> str | None:
        """Write the account's identity to the live files if another one is beside credentials that are its own.

        ``left``: the account that a swap has left a moment ago. If its identity is back, credentials that were
        refreshed since are taken for the account's, too. Returns one sentence, None when there was nothing to do or the
        owner is not certain. Takes the agent's locks itself.
        """

    def lineage(self) -> dict[str, str]:
        """The lineage for the state: the given one, updated with salted fingerprints of the live credentials."""

    def exclusive(self, timeout: float) -> AbstractContextManager[None]:
        """Lock out the programs that use the files; wait at most `timeout` seconds for that."""

    def save_back(self, outgoing: Account | None, note: Mapping[str, str]) -> Saved:
        """Save the live credentials to their owner's store, or to `unclaimed/` when in doubt.

        `outgoing` is the account that should be live. `note` is the note of an unfinished install, else empty.
        """

    def prepare(self, incoming: Account) -> Mapping[str, str]:
        """Write the new files beside the live ones and return a note about them: names and fingerprints."""

    def install(self, incoming: Account, note: Mapping[str, str]) -> None:
        """Make the incoming account's files the live ones: all of them, or none on failure (`undo` then cleans up).

        The live credentials are saved first, in case they were refreshed since `save_back`.
        """

    def verify(self, incoming: Account) -> None:
        """Read back the live files; MethodError when they are not the account's."""

    def undo(self, outgoing: Account, note: Mapping[str, str]) -> None:
        """Roll back the install of this note; credentials that became live since are kept."""

    def environment(self, account: Account) -> dict[str, str]:
        """The variables for sessions of the account. They are secrets: keep them off command lines and logs."""
