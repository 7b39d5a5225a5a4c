"""What the swap methods have in common that replace no live files: there is nothing to find out, save or restore."""

from collections.abc import Mapping
from typing import ClassVar

from failover_oneshot.accounts.method import MethodError
from failover_oneshot.accounts.ownership import OwnerEvidence, Ownership
from failover_oneshot.config.model import Account


class WithoutFiles:
    """A part of `SwapMethod`."""

    no_files: ClassVar[str]
    "Why there are no live credentials, as one sentence."

    def verdict(self) -> Ownership:
        """See `SwapMethod`. Never an owner."""
        return Ownership(None, OwnerEvidence.NONE, self.no_files)

    def live_account(self) -> str | None:
        """See `SwapMethod`. Always None."""
        return None

    def lineage(self) -> dict[str, str]:
        """See `SwapMethod`."""
        return {}

    def holds(self, account: Account, mark: str) -> bool:  # noqa: ARG002
        """See `SwapMethod`."""
        return False

    def given_up(self, active: Account | None) -> tuple[Account, str] | None:  # noqa: ARG002
        """See `SwapMethod`."""
        return None

    def refusal(self, account: Account) -> str | None:  # noqa: ARG002
        """See `SwapMethod`."""
        return self.no_files

    def foreign(self, account: Account, files: Mapping[str, bytes]) -> str | None:  # noqa: ARG002
        """See `SwapMethod`."""
        return self.no_files

    def restore(self, account: Account, files: Mapping[str, bytes]) -> str:  # noqa: ARG002
        """See `SwapMethod`."""
        raise MethodError(self.no_files)

    def reconcile(self, account: Account, left: str | None = None) -> str | None:  # noqa: ARG002
        """See `SwapMethod`."""
        return None
