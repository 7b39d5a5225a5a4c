"""Claude Code's credentials and identity as values: blank or not, older or newer, and what they say about their owner.

Pure. `.credentials.json` holds `claudeAiOauth` (`accessToken`, `refreshToken`, `expiresAt` in milliseconds since 1970,
perhaps `accountUuid` and `organizationUuid`, and more) and perhaps `trustedDeviceToken`. The identity block
`oauthAccount` holds `accountUuid`, `emailAddress`, `organizationUuid` and more. No token is printed; tokens are
compared for equality only.
"""

from collections.abc import Collection, Iterable, Mapping
from enum import Enum
from typing import Any

from msgspec import Struct

from failover_oneshot.accounts import credential_facts, fingerprints
from failover_oneshot.accounts.json_document import Document, replace, without

TOKENS = "claudeAiOauth"
IDENTITY = "oauthAccount"
DEVICE = "trustedDeviceToken"
OWN_KEYS = (TOKENS, DEVICE)  # the keys of .credentials.json that follow the account


class Tokens(Struct, frozen=True):
    """Credentials that are not blank.

    ``token`` is the refresh token, which works only once. Credentials of `claude setup-token` have none; there it is
    the access token. ``account`` and ``organization`` are what the credentials themselves name. Claude Code adds them
    after it has fetched the profile; they are empty until then.
    """

    token: str
    expires_at: float | None  # milliseconds since 1970; None when the file does not say
    account: str = ""
    organization: str = ""

    def __repr__(self) -> str:
        """No token is shown."""
        return "Tokens(...)"


class Identity(Struct, frozen=True):
    """Who the credentials belong to; unknown fields are empty."""

    account: str
    email: str
    organization: str

    def same(self, other: "Identity") -> bool:
        """Whether both may be one account: by `accountUuid`, else by e-mail address.

        One person may pay for two organizations under the same account. Where both sides name one, they must agree.
        """
        if self.organization and other.organization and self.organization != other.organization:
            return False
        if self.account and other.account:
            return self.account == other.account
        return bool(self.email) and self.email == other.email

    def exactly(self, other: "Identity") -> bool:
        """Whether both are one account, and neither leaves out an organization that the other names."""
        return self.same(other) and self.organization == other.organization


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

    @property
    def who(self) -> Identity | None:
        """Whose store it is: its identity, completed by what its credentials name."""
        account, organization = (self.tokens.account, self.tokens.organization) if self.tokens else ("", "")
        if self.identity is None:
            return Identity(account, "", organization) if account else None
        if account and self.identity.account and account != self.identity.account:
            return self.identity
        return Identity(
            self.identity.account or account, self.identity.email, self.identity.organization or organization
        )


class Saving(Enum):
    """What to do with live credentials whose account is known."""

    WRITE = "write"
    KEEP = "keep"  # the store already holds them, or newer ones that replaced them
    UNCLAIMED = "unclaimed"  # older than the store: the store stays, they go to `unclaimed/`


def tokens_of(document: Mapping[str, Any]) -> Tokens | None:
    """The tokens in a `.credentials.json`; None when there are none or Claude Code has blanked them."""
    block = document.get(TOKENS)
    if not isinstance(block, dict):
        return None
    access, refresh = (_text(block.get(key)) for key in ("accessToken", "refreshToken"))
    if not access and not refresh:
        return None
    account, organization = (_text(block.get(key)).lower() for key in ("accountUuid", "organizationUuid"))
    return Tokens(refresh or access, milliseconds(block.get("expiresAt")), account, organization)


def given_up(document: Mapping[str, Any]) -> bool:
    """Whether the file is one from which Claude Code has removed tokens that it could no longer use."""
    return TOKENS in document and tokens_of(document) is None


def blank_tokens(document: Mapping[str, Any]) -> Tokens:
    """What a blanked block still says: the account and the organization, if it has them."""
    block = document.get(TOKENS)
    names = [block.get(key) for key in ("accountUuid", "organizationUuid")] if isinstance(block, dict) else ["", ""]
    account, organization = (_text(name).lower() for name in names)
    return Tokens("", None, account, organization)


def milliseconds(value: Any) -> float | None:
    """An `expiresAt` in milliseconds since 1970, whatever its unit and form; None for anything else."""
    at = credential_facts.instant(value)
    return at * 1000 if at is not None and at > 0 else None


def identity_of(block: Any) -> Identity | None:
    """The identity in an `oauthAccount` block; None when it has neither `accountUuid` nor `emailAddress`."""
    if not isinstance(block, dict):
        return None
    texts = [_text(block.get(key)).lower() for key in ("accountUuid", "emailAddress", "organizationUuid")]
    # Bytes that are not UTF-8 can be neither printed nor written to the state.
    account, email, organization = (text.encode(errors="backslashreplace").decode() for text in texts)
    return Identity(account, email, organization) if account or email else None


def _text(value: Any) -> str:
    return value.strip() if isinstance(value, str) else ""


def saving(live: Tokens, stored: Tokens | None, replaced: Collection[str] = ()) -> Saving:
    """What to do with an account's live credentials, given its store and the tokens that were replaced in it.

    Refresh tokens are single-use: of two, the later-expiring one is valid and must win. Where a file does not say when
    its token expires, the live one is the later one, unless it is known as one that was replaced.
    """
    if stored is None:
        return Saving.WRITE
    if live.expires_at is not None and stored.expires_at is not None:
        older = live.expires_at < stored.expires_at
    else:
        older = live.token != stored.token and live.token in replaced
    if not older:
        return Saving.WRITE
    return Saving.KEEP if live.token == stored.token or live.token in replaced else Saving.UNCLAIMED


def named(tokens: Tokens, stores: Iterable[StoredCredentials]) -> tuple[str, ...] | None:
    """The accounts that the credentials name; None if they name none, or if it may be one whose store does not say."""
    if not tokens.account:
        return None
    known = [s for s in stores if s.who]
    who = Identity(tokens.account, "", tokens.organization)
    found = [s for s in known if s.who and s.who.account and s.who.same(who)]
    if not found and any(s.who and not s.who.account for s in known):
        return None
    exact = [s for s in found if s.who and s.who.organization == tokens.organization]
    return tuple(s.name for s in exact or found)


def excluded(tokens: Tokens, stores: Iterable[StoredCredentials]) -> tuple[str, ...]:
    """The accounts whose stores name another account than the credentials do."""
    if not tokens.account:
        return ()
    return tuple(s.name for s in stores if s.who and s.who.account not in {"", tokens.account})


def identified(identity: Identity | None, stores: Iterable[StoredCredentials]) -> tuple[str, ...] | None:
    """The accounts that this identity fits, only the exact ones if there are any; None without an identity."""
    if identity is None:
        return None
    found = [s for s in stores if s.who and s.who.same(identity)]
    exact = [s for s in found if s.who and s.who.exactly(identity)]
    return tuple(s.name for s in exact or found)


def in_lineage(tokens: Tokens, lineage: Mapping[str, str]) -> tuple[str, ...]:
    """The accounts that the lineage (fingerprint to account) names for this token."""
    return tuple(dict.fromkeys(name for mark, name in lineage.items() if fingerprints.fits(mark, tokens.token)))


def holders(tokens: Tokens, stores: Iterable[StoredCredentials]) -> tuple[str, ...]:
    """The accounts whose stores hold this token."""
    return tuple(s.name for s in stores if any(t and t.token == tokens.token for t in (s.tokens, s.previous)))


def with_own_keys(target: Document, source: Mapping[str, Any]) -> Document:
    """`target` with the keys that follow the account taken from `source`; keys that `source` lacks are removed."""
    for key in OWN_KEYS:
        if key not in source:
            target = without(target, key)
        elif key not in target.values or target.values[key] != source[key]:
            target = replace(target, key, source[key])
    return target


def key(identity: Identity | None) -> str:
    """The text that is fingerprinted for an identity; empty for None."""
    return "\n".join((identity.account, identity.email, identity.organization)) if identity else ""
