"""Whose the live credentials are, and why (docs/swap.md, "Whose credentials are live"). Pure.

A swap method collects the clues; `owner_of` weighs them. An earlier item of this order outweighs a later one:

1. the account that the credentials themselves name,
2. the stores, the kept generations and the lineage, which may know the refresh token,
3. the identity beside the credentials, unless it contradicts what the last swap installed: Claude Code may write an
   old copy of its settings back, with the identity of the account that the swap has left.
"""

from collections.abc import Collection
from enum import StrEnum

from msgspec import Struct


class OwnerEvidence(StrEnum):
    """What a verdict is based on."""

    ACCOUNT = "account"
    FINGERPRINT = "fingerprint"
    IDENTITY = "identity"
    INSTALL = "install"  # installed by an unfinished swap, or files that cannot name an owner
    FIRST = "first"  # the first credentials of an account
    NONE = "none"


PROOF = frozenset({OwnerEvidence.ACCOUNT, OwnerEvidence.FINGERPRINT})
"""The evidence that does not come from the identity, which Claude Code may write back."""


class Clues(Struct, frozen=True, kw_only=True):
    """What is known about the live credentials. All names are of configured accounts."""

    named: tuple[str, ...] | None = None  # what the credentials name: None: nothing, (): no configured account
    excluded: tuple[str, ...] = ()  # the accounts that these credentials do not belong to: they name another one
    known: tuple[str, ...] = ()  # the accounts of whom a store, a generation or the lineage knows the token
    identity: tuple[str, ...] | None = None  # what the identity names: None: there is none, (): no configured account
    installed: str | None = None  # whose credentials the last swap installed; None: there was none
    unfinished: bool = False  # that swap has replaced the credentials, but not yet the identity
    presumed: str | None = None  # the account that should be live: it decides where others fit equally well
    empty: tuple[str, ...] = ()  # the accounts whose stores have never held credentials
    bare: bool = False  # these files cannot name an owner: they belong to the presumed account


class Ownership(Struct, frozen=True):
    """The owner, None when in doubt. ``suspect``: the account that credentials without an owner may belong to."""

    owner: str | None
    evidence: OwnerEvidence
    sentence: str
    suspect: str | None = None

    @property
    def proven(self) -> bool:
        """Whether something other than the identity names the owner."""
        return self.owner is not None and self.evidence in PROOF


def owner_of(clues: Clues) -> Ownership:
    """The owner of the live credentials, with the evidence."""
    named = clues.named
    if named is not None and len(named) == 1:
        return Ownership(named[0], OwnerEvidence.ACCOUNT, f"the credentials name {named[0]}")
    if named == ():
        return _first(clues) or Ownership(
            None, OwnerEvidence.NONE, "the credentials name an account that is not configured"
        )
    known, identity = (
        tuple(name for name in names if name not in clues.excluded and (not named or name in named))
        for names in (clues.known, clues.identity or ())
    )
    if known:
        return _by_token(clues, known, identity)
    may_be_installed = clues.installed not in clues.excluded and (not named or clues.installed in named)
    if clues.unfinished and clues.installed and may_be_installed:
        text = f"an unfinished swap has just installed {clues.installed}"
        return Ownership(clues.installed, OwnerEvidence.INSTALL, text)
    if identity:
        return _by_identity(clues, identity)
    if named:
        return _by_token(clues, named, ())
    return _first(clues) or _bare(clues) or _unknown(clues)


def not_of(account: str, verdict: Ownership) -> str:
    """Why live credentials with that verdict cannot be captured for the account, and what to do."""
    whose = f"belong to {verdict.owner}" if verdict.owner else "belong to no account with certainty"
    remedy = f"log in as {account} first"
    if verdict.suspect:  # a log-in by hand is certain only if the credentials name their account
        remedy = f"log in as {account} with a Claude Code that writes the account into its credentials (2.1.332 does)"
    return f"the live credentials {whose}: {verdict.sentence}; {remedy}"


def _by_token(clues: Clues, known: Collection[str], identity: Collection[str]) -> Ownership:
    names = [name for name in known if name in identity] or list(known)
    one = _one(names, clues.presumed)
    if one:
        return Ownership(one, OwnerEvidence.FINGERPRINT, f"{one}'s store or an earlier check knows the token")
    text = f"the credentials are known for more than one account: {', '.join(sorted(set(names)))}"
    return Ownership(None, OwnerEvidence.NONE, text, clues.installed if clues.installed in names else None)


def _by_identity(clues: Clues, identity: Collection[str]) -> Ownership:
    one = _one(identity, clues.installed or clues.presumed)
    if one is None:
        text = f"the identity fits more than one account: {', '.join(sorted(set(identity)))}"
        return Ownership(None, OwnerEvidence.NONE, text, clues.installed)
    if clues.installed and one != clues.installed:
        text = f"the identity names {one}, but the last swap installed {clues.installed}, and the token is unknown"
        return Ownership(None, OwnerEvidence.NONE, text, clues.installed)
    return Ownership(one, OwnerEvidence.IDENTITY, f"the identity names {one}")


def _first(clues: Clues) -> Ownership | None:
    name = clues.presumed
    if name is None or name not in clues.empty:
        return None
    return Ownership(name, OwnerEvidence.FIRST, f"the first credentials of {name}, whose store is empty")


def _bare(clues: Clues) -> Ownership | None:
    if not clues.bare or clues.presumed is None:
        return None
    return Ownership(
        clues.presumed, OwnerEvidence.INSTALL, f"the files name no account, and {clues.presumed} should be live"
    )


def _unknown(clues: Clues) -> Ownership:
    suspect = None if clues.installed in clues.excluded else clues.installed
    if clues.identity:
        text = f"the identity names {', '.join(clues.identity)}, but the credentials name another account"
        return Ownership(None, OwnerEvidence.NONE, text, suspect)
    if clues.identity == ():
        return Ownership(None, OwnerEvidence.NONE, "the identity is of an account that is not configured")
    return Ownership(None, OwnerEvidence.NONE, "the token is unknown, and no identity names its account", suspect)


def _one(names: Collection[str], presumed: str | None) -> str | None:
    """The only name; of several, the presumed one if it is among them."""
    if len(set(names)) == 1:
        return next(iter(names))
    return presumed if presumed in names else None
