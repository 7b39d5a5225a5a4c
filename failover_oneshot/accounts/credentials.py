"""The client's credentials and identity as values: blank or not, older or newer, whose they are.

Pure. The shapes: `.credentials.json` holds `claudeAiOauth` (`accessToken`, `refreshToken`, `expiresAt` in milliseconds
since 1970, ...) and perhaps `trustedDeviceToken`; the identity block `oauthAccount` holds `accountUuid`,
`emailAddress`, `organizationUuid`, .... Nothing here prints or compares a token other than for equality.
"""

from collections.abc import Iterable, Mapping, Sequence
from enum import Enum
from typing import Any

from msgspec import Struct

from failover_oneshot.accounts.json_document import Document, replace, without

TOKENS = "claudeAiOauth"
IDENTITY = "oauthAccount"
OWN_KEYS = (TOKENS, "trustedDeviceToken")  # of .credentials.json: what follows the account


class Tokens(Struct, frozen=True):
    """One login that is not blank."""

    refresh: str
    expires_at: float | None  # milliseconds since 1970, None when the file does not say

    def __repr__(self) -> str:
        """Without the token."""
        return "Tokens(...)"


class Identity(Struct, frozen=True):
    """Who a login belongs to; empty strings for what is not known."""

    account: str
    email: str
    organization: str

    def same(self, other: "Identity") -> bool:
        """Whether both mean one account: by `accountUuid`, else by e-mail address.

        One person may pay for two organizations under the same account: where both sides name one, they must agree.
        """
        if self.organization and other.organization and self.organization != other.organization:
            return False
        if self.account and other.account:
            return self.account == other.account
        return bool(self.email) and self.email == other.email


class StoredCredentials(Struct, frozen=True):
    """What is known of one account's store, for finding out whose the live login is."""

    name: str
    tokens: Tokens | None = None
    previous: Tokens | None = None  # those of `.prev`
    identity: Identity | None = None

    @property
    def empty(self) -> bool:
        """Nothing was ever saved there."""
        return self.tokens is None and self.previous is None and self.identity is None


class Saving(Enum):
    """What becomes of a login that goes to its account's store."""

    WRITE = "write"
    KEEP = "keep"  # the store has it, or what came of it, already
    ASIDE = "aside"  # older than the store's or of unknown age: the store stays, the login is set aside


def tokens_of(document: Mapping[str, Any]) -> Tokens | None:
    """The login in a `.credentials.json`, None when there is none or it is blank (a dead login is blanked)."""
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
    """Whether the file holds anything that could be a login, even half of one."""
    block = document.get(TOKENS)
    values = [block.get(key) for key in ("accessToken", "refreshToken")] if isinstance(block, dict) else []
    return any(isinstance(value, str) and value.strip() for value in values)


def identity_of(block: Any) -> Identity | None:
    """The identity in an `oauthAccount` block, None when it names nobody."""
    if not isinstance(block, dict):
        return None
    texts = [block.get(key) for key in ("accountUuid", "emailAddress", "organizationUuid")]
    account, email, organization = (text.strip().lower() if isinstance(text, str) else "" for text in texts)
    return Identity(account, email, organization) if account or email else None


def saving(live: Tokens, stored: Tokens | None, previous: Tokens | None = None) -> Saving:
    """Whether a live login of the right account may become that account's stored one.

    Refresh tokens are single-use: of two, the later-expiring one is alive and must win.
    """
    if stored is None:
        return Saving.WRITE
    older = stored.expires_at is not None and (live.expires_at is None or live.expires_at < stored.expires_at)
    if live.refresh == stored.refresh:
        return Saving.KEEP if older else Saving.WRITE
    if older:
        return Saving.KEEP if previous is not None and live.refresh == previous.refresh else Saving.ASIDE
    return Saving.WRITE


def owner(
    tokens: Tokens,
    identity: Identity | None,
    stores: Sequence[StoredCredentials],
    lineage: Mapping[str, str],
    presumed: str | None = None,
) -> str | None:
    """The account that a login belongs to, None when that can not be said for certain.

    By its refresh token where a store or the lineage (fingerprint to account) knows it, else by the identity beside it.
    `presumed`, the account that ought to be live, decides between some that fit equally well; and where nobody's it is,
    it is the first content of that account's store if nothing was ever saved there.
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
    """The accounts that this very login is known to be of, by its refresh token."""
    return holders(tokens, stores) or [name for mark, name in lineage.items() if fits(mark, tokens.refresh)]


def holders(tokens: Tokens, stores: Iterable[StoredCredentials]) -> list[str]:
    """The accounts whose stores hold this very login."""
    return [s.name for s in stores if any(t and t.refresh == tokens.refresh for t in (s.tokens, s.previous))]


def with_own_keys(target: Document, source: Mapping[str, Any]) -> Document:
    """`target` with the keys that follow the account as in `source`; one that `source` lacks goes."""
    for key in OWN_KEYS:
        if key not in source:
            target = without(target, key)
        elif key not in target.values or target.values[key] != source[key]:
            target = replace(target, key, source[key])
    return target


def fingerprint(secret: str | bytes, salt: str) -> str:
    """`salt:digest`, by which a secret is known again but not found out. A new salt for each, of at least 8 bytes."""
    from hashlib import sha256

    data = secret if isinstance(secret, bytes) else secret.encode(errors="surrogatepass")
    return f"{salt}:{sha256(salt.encode() + b':' + data).hexdigest()[:32]}"


def key(identity: Identity | None) -> str:
    """What an identity is fingerprinted by; nobody's has one too."""
    return "\n".join((identity.account, identity.email, identity.organization)) if identity else ""


def fits(mark: str, secret: str | bytes) -> bool:
    """Whether the fingerprint is of this secret."""
    return fingerprint(secret, mark.partition(":")[0]) == mark
