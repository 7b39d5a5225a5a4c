"""Claude Code's credentials and identity as values: blank or not, older or newer, and whose they are.

Pure. `.credentials.json` holds `claudeAiOauth` (`accessToken`, `refreshToken`, `expiresAt` in milliseconds since 1970,
and more) and perhaps `trustedDeviceToken`. The identity block `oauthAccount` holds `accountUuid`, `emailAddress`,
`organizationUuid` and more. No token is printed; tokens are compared for equality only.
"""

from collections.abc import Iterable, Mapping, Sequence
from enum import Enum
from typing import Any

from msgspec import Struct

from failover_oneshot.accounts.json_document import Document, replace, without

TOKENS = "claudeAiOauth"
IDENTITY = "oauthAccount"
OWN_KEYS = (TOKENS, "trustedDeviceToken")  # the keys of .credentials.json that follow the account


class Tokens(Struct, frozen=True):
    """Credentials that are not blank."""

    refresh: str
    expires_at: float | None  # milliseconds since 1970; None when the file does not say

    def __repr__(self) -> str:
        """No token is shown."""
        return "Tokens(...)"


class Identity(Struct, frozen=True):
    """Who the credentials belong to; unknown fields are empty."""

    account: str
    email: str
    organization: str

    def same(self, other: "Identity") -> bool:
        """Whether both are one account: by `accountUuid`, else by e-mail address.

        One person may pay for two organizations under the same account. Where both sides name one, they must agree.
        """
        if self.organization and other.organization and self.organization != other.organization:
            return False
        if self.account and other.account:
            return self.account == other.account
        return bool(self.email) and self.email == other.email


class StoredCredentials(Struct, frozen=True):
    """What one account's store holds. It helps to find the owner of the live credentials."""

    name: str
    tokens: Tokens | None = None
    previous: Tokens | None = None  # from `.prev`
    identity: Identity | None = None

    @property
    def empty(self) -> bool:
        """Whether the store never held credentials."""
        return self.tokens is None and self.previous is None and self.identity is None


class Saving(Enum):
    """What to do with live credentials whose account is known."""

    WRITE = "write"
    KEEP = "keep"  # the store already holds them, or newer ones that replaced them
    UNCLAIMED = "unclaimed"  # older than the store, or of unknown age: the store stays, they go to `unclaimed/`


def tokens_of(document: Mapping[str, Any]) -> Tokens | None:
    """The tokens in a `.credentials.json`; None when there are none or Claude Code has blanked them."""
    block = document.get(TOKENS)
    if not isinstance(block, dict):
        return None
    access, refresh = block.get("accessToken"), block.get("refreshToken")
    if not isinstance(access, str) or not isinstance(refresh, str) or not access.strip() or not refresh.strip():
        return None
    expires = block.get("expiresAt")
    known = isinstance(expires, (int, float)) and not isinstance(expires, bool)
    return Tokens(refresh, float(expires) if known and expires is not None else None)


def any_token(document: Mapping[str, Any]) -> bool:
    """Whether the file holds any token, even one of the two."""
    block = document.get(TOKENS)
    values = [block.get(key) for key in ("accessToken", "refreshToken")] if isinstance(block, dict) else []
    return any(isinstance(value, str) and value.strip() for value in values)


def identity_of(block: Any) -> Identity | None:
    """The identity in an `oauthAccount` block; None when it has neither `accountUuid` nor `emailAddress`."""
    if not isinstance(block, dict):
        return None
    texts = [block.get(key) for key in ("accountUuid", "emailAddress", "organizationUuid")]
    account, email, organization = (text.strip().lower() if isinstance(text, str) else "" for text in texts)
    return Identity(account, email, organization) if account or email else None


def saving(live: Tokens, stored: Tokens | None, previous: Tokens | None = None) -> Saving:
    """What to do with an account's live credentials, given its store.

    Refresh tokens are single-use: of two, the later-expiring one is valid and must win.
    """
    if stored is None:
        return Saving.WRITE
    older = stored.expires_at is not None and (live.expires_at is None or live.expires_at < stored.expires_at)
    if live.refresh == stored.refresh:
        return Saving.KEEP if older else Saving.WRITE
    if older:
        return Saving.KEEP if previous is not None and live.refresh == previous.refresh else Saving.UNCLAIMED
    return Saving.WRITE


def owner(
    tokens: Tokens,
    identity: Identity | None,
    stores: Sequence[StoredCredentials],
    lineage: Mapping[str, str],
    presumed: str | None = None,
) -> str | None:
    """The account that the credentials belong to; None when in doubt.

    The refresh token decides if a store or the lineage (fingerprint to account) knows it; else the identity does.
    `presumed` is the account that should be live. It decides between accounts that fit equally well. It also owns
    credentials that fit no account, if its store never held any: they are its first ones.
    """
    by_identity = [s.name for s in stores if identity and s.identity and s.identity.same(identity)]
    names = known(tokens, stores, lineage)
    if not names:
        names = by_identity
    elif len(set(names)) > 1:
        names = [name for name in names if name in by_identity] or names
    if len(set(names)) == 1:
        return names[0]
    if not names:
        return next((s.name for s in stores if s.name == presumed and s.empty), None)
    return presumed if presumed in names else None


def known(tokens: Tokens, stores: Sequence[StoredCredentials], lineage: Mapping[str, str]) -> list[str]:
    """The accounts that a store or the lineage names for this refresh token."""
    return holders(tokens, stores) or [name for mark, name in lineage.items() if fits(mark, tokens.refresh)]


def holders(tokens: Tokens, stores: Iterable[StoredCredentials]) -> list[str]:
    """The accounts whose stores hold this refresh token."""
    return [s.name for s in stores if any(t and t.refresh == tokens.refresh for t in (s.tokens, s.previous))]


def with_own_keys(target: Document, source: Mapping[str, Any]) -> Document:
    """`target` with the keys that follow the account taken from `source`; keys that `source` lacks are removed."""
    for key in OWN_KEYS:
        if key not in source:
            target = without(target, key)
        elif key not in target.values or target.values[key] != source[key]:
            target = replace(target, key, source[key])
    return target


def fingerprint(secret: str | bytes, salt: str) -> str:
    """`salt:digest`: recognizes a secret without revealing it. Use a new salt of at least 8 bytes for each."""
    from hashlib import sha256

    data = secret if isinstance(secret, bytes) else secret.encode(errors="surrogatepass")
    return f"{salt}:{sha256(salt.encode() + b':' + data).hexdigest()[:32]}"


def key(identity: Identity | None) -> str:
    """The text that is fingerprinted for an identity; empty for None."""
    return "\n".join((identity.account, identity.email, identity.organization)) if identity else ""


def fits(mark: str, secret: str | bytes) -> bool:
    """Whether the fingerprint was made from this secret."""
    return fingerprint(secret, mark.partition(":")[0]) == mark
