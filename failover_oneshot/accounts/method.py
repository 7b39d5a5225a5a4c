"""What every swap method offers, and the one error it raises."""

from collections.abc import Mapping
from contextlib import AbstractContextManager
from typing import Protocol

from failover_oneshot.config.model import Account
from failover_oneshot.errors import EXIT_FAILED, FailoverError


class MethodError(FailoverError):
    """A step failed: one sentence, free of secrets.

    The files are as they were before the step, unless `restored` is false: then the journal has to stay, and the same
    step is to be repeated.
    """

    exit_code = EXIT_FAILED

    def __init__(self, sentence: str, *, restored: bool = True) -> None:
        super().__init__(sentence)
        self.restored = restored


class SwapMethod(Protocol):
    """How an account becomes the active one. Only `MethodError` is raised.

    The order: within `exclusive`: `save_back`, `prepare`, (the caller writes the note to its journal), `install`,
    `verify`. Each may be killed anywhere and is then simply called again, with the note where there is one.
    """

    def check(self, account: Account) -> str | None:
        """Why that account can not be swapped to, None when it can. Reads only."""

    def live_account(self) -> str | None:
        """The configured account that is live, None when that can not be said for certain. Reads only."""

    def lineage(self) -> dict[str, str]:
        """For the state: the lineage as given at the start, and the salted fingerprints of what is live now."""

    def exclusive(self, timeout: float) -> AbstractContextManager[None]:
        """Keeps the programs that use the files out meanwhile; waits at most `timeout` seconds for that."""

    def save_back(self, outgoing: Account | None, note: Mapping[str, str]) -> str:
        """What is live goes to the store of the account that it really belongs to; a sentence says what was done.

        `outgoing` is who ought to be live; `note` that of an install which was begun, else empty.
        """

    def prepare(self, incoming: Account) -> Mapping[str, str]:
        """Writes the new files beside the live ones and returns a note about them: names and fingerprints."""

    def install(self, incoming: Account, note: Mapping[str, str]) -> None:
        """The incoming account's files become the live ones: all, or on failure none (then `undo` tidies up).

        What is live is saved first, in case it was refreshed since `save_back`.
        """

    def verify(self, incoming: Account) -> None:
        """Reads back that the account is live."""

    def undo(self, outgoing: Account, note: Mapping[str, str]) -> None:
        """What the install of this note changed is changed back; nothing that came live since is lost."""

    def environment(self, account: Account) -> dict[str, str]:
        """What sessions of the account are started with; secrets, never for a command line or a log."""
