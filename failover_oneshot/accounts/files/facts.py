"""The files of method `files` as values: whose they are, which are blank, which are older. Pure."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

from msgspec import Struct

from failover_oneshot.accounts import credential_facts
from failover_oneshot.accounts.fingerprints import fits
from failover_oneshot.accounts.ownership import Clues, Ownership, owner_of

Contents = dict[str, bytes]  # base name to content of each file that exists


class LiveFile(Struct, frozen=True):
    """A live file as read."""

    name: str  # in a store
    path: Path  # links resolved
    content: bytes | None  # None when it does not exist

    def __repr__(self) -> str:
        """The path only: the content is secret."""
        return f"LiveFile({self.path})"


def verdict(
    contents: Contents,
    stores: Mapping[str, Contents],
    lineage: Mapping[str, str],
    installed: str | None,
    presumed: str | None,
) -> Ownership:
    """Whose these live files are. ``stores``: account to the files in its store, empty when it never held any."""
    tokens = frozenset[str]().union(*map(credential_facts.refresh_tokens, contents.values()))
    by_content = [name for name, stored in stores.items() if _shared(contents, stored, stores)]
    by_token = [
        name
        for name, stored in stores.items()
        if tokens & frozenset[str]().union(*map(credential_facts.refresh_tokens, stored.values()))
    ]
    by_lineage = [
        whose
        for mark, whose in lineage.items()
        if whose in stores and any(fits(mark, content) for content in contents.values())
    ]
    mine, who = account(contents), identity(contents)
    named = tuple(name for name, stored in stores.items() if mine and account(stored) == mine)
    silent = any(stored and account(stored) is None for stored in stores.values())
    return owner_of(
        Clues(
            named=named if named or (mine and not silent) else None,
            known=tuple(by_content or by_token or by_lineage),
            identity=tuple(name for name, stored in stores.items() if identity(stored) == who) if who else None,
            installed=installed,
            presumed=presumed,
            empty=tuple(name for name, stored in stores.items() if not stored),
            bare=who is None and presumed in stores,
        )
    )


def filled(contents: Contents) -> Contents:
    """Those that are not blank."""
    return {base: content for base, content in contents.items() if not credential_facts.blank(content)}


def older(live: Contents, stored: Contents) -> bool:
    return any(
        credential_facts.older(content, stored.get(base, b""))
        for base, content in live.items()
        if stored.get(base) != content
    )


def contents_of(live: Sequence[LiveFile]) -> Contents:
    return {file.name: file.content for file in live if file.content is not None}


def problem(path: Path, content: bytes, *, blank: bool = False) -> str | None:
    """What is wrong with a file; None if it is fine. With `blank`, blank credentials are fine."""
    if path.suffix == ".json":
        try:
            json.loads(content.decode("utf-8-sig", "surrogateescape"))
        except (ValueError, RecursionError):
            return f"{path} is not JSON" if content.strip() else f"{path} is empty"
    if content.strip() and credential_facts.blank(content) and not blank:
        return f"credentials in {path} are blank; log in again"
    return None


def account(contents: Contents) -> str | None:
    return next((found for content in contents.values() if (found := credential_facts.account(content))), None)


def identity(contents: Contents) -> str | None:
    return next((found for content in contents.values() if (found := credential_facts.identity(content))), None)


def _shared(contents: Contents, stored: Contents, stores: Mapping[str, Contents]) -> bool:
    """Whether a live file is byte for byte in this store but not in every store."""
    return any(
        content and stored.get(base) == content and not all(s.get(base) == content for s in stores.values() if s)
        for base, content in contents.items()
    ) or bool(contents and contents.items() <= stored.items())


def sameness(mine: Contents, theirs: Contents) -> str | None:
    """What two stores share although only one account can have it; None for nothing."""
    tokens = [frozenset[str]().union(*map(credential_facts.refresh_tokens, c.values())) for c in (mine, theirs)]
    if tokens[0] & tokens[1] or (mine and mine == theirs):
        return "credentials"
    who = identity(mine)
    return "identity" if who and who == identity(theirs) else None
