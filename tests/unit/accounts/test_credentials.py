"""Claude Code's credentials as values: blank or not, whose they are, and what may go to a store."""

import json
from typing import Any

import pytest

from failover_oneshot.accounts import credentials, json_document
from failover_oneshot.accounts.credentials import Identity, Saving, StoredCredentials, Tokens
from tests.support.account_methods import identity, login


def test_a_repr_holds_no_secret() -> None:
    document = json_document.parse(json.dumps(login("main")).encode())
    for value in (document, credentials.tokens_of(document.values)):
        assert "fake" not in repr(value)


@pytest.mark.parametrize(
    "block",
    [
        *(None, [], "x", {}, {"accessToken": "a"}, {"refreshToken": "r"}, {"accessToken": "", "refreshToken": ""}),
        *({"accessToken": " ", "refreshToken": "r"}, {"accessToken": "a", "refreshToken": None}),
    ],
)
def test_incomplete_tokens_are_blank(block: Any) -> None:
    assert credentials.tokens_of({"claudeAiOauth": block}) is None


@pytest.mark.parametrize("expires", [None, "5", True, []])
def test_an_expiry_of_the_wrong_type_is_unknown(expires: Any) -> None:
    block = {"accessToken": "a", "refreshToken": "r", "expiresAt": expires}
    assert credentials.tokens_of({"claudeAiOauth": block}) == Tokens("r", None)


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        (Identity("u", "", ""), Identity("u", "x", ""), True),
        (Identity("u", "e", ""), Identity("v", "e", ""), False),
        (Identity("", "e", ""), Identity("v", "e", ""), True),
        (Identity("", "", ""), Identity("", "", ""), False),
        (Identity("u", "e", "o"), Identity("u", "e", "p"), False),
        (Identity("u", "e", "o"), Identity("u", "e", ""), True),
    ],
)
def test_two_identities_are_one_account_or_not(one: Identity, other: Identity, same: bool) -> None:
    assert one.same(other) is other.same(one) is same


NEW, OLD = Tokens("new", 2), Tokens("old", 1)


@pytest.mark.parametrize(
    ("live", "stored", "previous", "verdict"),
    [
        (NEW, None, None, Saving.WRITE),
        (NEW, OLD, None, Saving.WRITE),
        (OLD, NEW, None, Saving.UNCLAIMED),
        (OLD, NEW, OLD, Saving.KEEP),
        (NEW, NEW, None, Saving.WRITE),
        (Tokens("new", 1), NEW, None, Saving.KEEP),
        (Tokens("x", 2), NEW, None, Saving.WRITE),
        (Tokens("x", None), NEW, None, Saving.UNCLAIMED),
        (NEW, Tokens("x", None), None, Saving.WRITE),
    ],
)
def test_what_happens_to_live_credentials(
    live: Tokens, stored: Tokens | None, previous: Tokens | None, verdict: Saving
) -> None:
    assert credentials.saving(live, stored, previous) is verdict


def who(name: str) -> Identity | None:
    return credentials.identity_of(identity(name))


A = StoredCredentials("a", Tokens("a2", 2), Tokens("a1", 1), who("a"))
B = StoredCredentials("b", Tokens("b1", 1), None, who("b"))


@pytest.mark.parametrize(
    ("token", "beside", "stores", "lineage", "presumed", "name"),
    [
        ("a2", "a", [A, B], {}, None, "a"),
        ("a3", "a", [A, B], {}, "b", "a"),  # refreshed
        ("b1", "a", [A, B], {}, "a", "b"),  # after half an install: the token decides
        ("a1", "b", [A, B], {}, "b", "a"),
        ("x", "c", [A, B], {}, "a", None),  # credentials of no configured account
        ("x", None, [A, B], {}, "a", None),
        ("x", None, [A, B], {credentials.fingerprint("x", "salt"): "a"}, "b", "a"),
        ("b1", "b", [B, StoredCredentials("c", B.tokens, None, who("b"))], {}, "b", "b"),
        ("b1", "b", [B, StoredCredentials("c", B.tokens, None, who("b"))], {}, None, None),
        ("b1", "b", [B, StoredCredentials("c", B.tokens, None, who("c"))], {}, None, "b"),
        ("x", "c", [StoredCredentials("a"), B], {}, "a", "a"),  # the first credentials of a store
        ("x", "b", [StoredCredentials("a"), B], {}, "a", "b"),
        ("x", "c", [StoredCredentials("a"), B], {}, None, None),
    ],
)
def test_the_owner_of_credentials(
    token: str,
    beside: str | None,
    stores: list[StoredCredentials],
    lineage: dict[str, str],
    presumed: str | None,
    name: str | None,
) -> None:
    found = credentials.owner(Tokens(token, 3), who(beside) if beside else None, stores, lineage, presumed)
    assert found == name


def test_a_fingerprint_fits_only_its_secret_and_does_not_reveal_it() -> None:
    mark = credentials.fingerprint("fake-secret", "0011223344556677")
    assert credentials.fits(mark, "fake-secret")
    assert not credentials.fits(mark, "fake-secret2")
    assert not credentials.fits("", "fake-secret")
    assert "secret" not in mark
    assert credentials.fingerprint("fake-secret", "8899aabbccddeeff").partition(":")[2] != mark.partition(":")[2]
