"""Claude Code's credentials as values: blank or not, whose they are, and what may go to a store."""

import json
from typing import Any

import pytest

from failover_oneshot.accounts import fingerprints, json_document
from failover_oneshot.accounts.claude import credentials
from failover_oneshot.accounts.claude.credentials import Identity, Saving, StoredCredentials, Tokens
from tests.support.account_methods import identity, login


def test_a_repr_holds_no_secret() -> None:
    document = json_document.parse(json.dumps(login("main")).encode())
    for value in (document, credentials.tokens_of(document.values)):
        assert "fake" not in repr(value)


@pytest.mark.parametrize(
    "block", [None, [], "x", {}, {"accessToken": "", "refreshToken": ""}, {"accessToken": " ", "refreshToken": None}]
)
def test_tokens_that_claude_code_blanked_are_none(block: Any) -> None:
    assert credentials.tokens_of({"claudeAiOauth": block}) is None
    assert credentials.given_up({"claudeAiOauth": block})
    assert not credentials.given_up({})


def test_a_setup_token_without_a_refresh_token_is_not_blank() -> None:
    assert credentials.tokens_of({"claudeAiOauth": {"accessToken": "a"}}) == Tokens("a", None)
    assert credentials.tokens_of({"claudeAiOauth": {"accessToken": "a", "refreshToken": " "}}) == Tokens("a", None)
    assert credentials.tokens_of({"claudeAiOauth": {"accessToken": "", "refreshToken": "r"}}) == Tokens("r", None)


def test_the_account_that_credentials_name_is_read() -> None:
    block = {"accessToken": "a", "refreshToken": "r", "accountUuid": " U-1 ", "organizationUuid": "O"}
    assert credentials.tokens_of({"claudeAiOauth": block}) == Tokens("r", None, "u-1", "o")


AT = 1_795_815_088_000.0


@pytest.mark.parametrize(
    ("written", "milliseconds"),
    [
        *((AT, AT), (int(AT), AT), (AT / 1000, AT), (f"{AT:.0f}", AT), (f"{AT / 1000:.0f}", AT)),
        *((None, None), ("soon", None), (True, None), ([], None), (0, None), (-5, None), (float("nan"), None)),
        *((float("inf"), None), ("1e400", None)),
    ],
)
def test_an_expiry_is_read_in_any_unit(written: Any, milliseconds: float | None) -> None:
    assert credentials.milliseconds(written) == milliseconds


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


@pytest.mark.parametrize(
    ("one", "other", "exactly"),
    [
        (Identity("u", "e", "o"), Identity("u", "e", "o"), True),
        (Identity("u", "e", ""), Identity("u", "e", ""), True),
        (Identity("u", "e", "o"), Identity("u", "e", ""), False),
        (Identity("u", "e", "o"), Identity("u", "e", "p"), False),
    ],
)
def test_two_organizations_of_one_person_are_two_accounts(one: Identity, other: Identity, exactly: bool) -> None:
    assert one.exactly(other) is other.exactly(one) is exactly


NEW, OLD = Tokens("new", 2), Tokens("old", 1)


@pytest.mark.parametrize(
    ("live", "stored", "replaced", "verdict"),
    [
        (NEW, None, (), Saving.WRITE),
        (NEW, OLD, (), Saving.WRITE),
        (NEW, OLD, ("new",), Saving.WRITE),  # an operator has put an older generation back into the store
        (OLD, NEW, (), Saving.UNCLAIMED),
        (OLD, NEW, ("old",), Saving.KEEP),
        (NEW, NEW, (), Saving.WRITE),
        (Tokens("new", 1), NEW, (), Saving.KEEP),
        (Tokens("x", 2), NEW, (), Saving.WRITE),
        (Tokens("x", None), NEW, (), Saving.WRITE),  # the live credentials are the later ones
        (Tokens("x", None), NEW, ("x",), Saving.KEEP),
        (NEW, Tokens("x", None), (), Saving.WRITE),
        (Tokens("x", None), Tokens("x", None), ("x",), Saving.WRITE),
    ],
)
def test_what_happens_to_live_credentials(
    live: Tokens, stored: Tokens | None, replaced: tuple[str, ...], verdict: Saving
) -> None:
    assert credentials.saving(live, stored, replaced) is verdict


def who(name: str) -> Identity | None:
    return credentials.identity_of(identity(name))


A = StoredCredentials("a", Tokens("a2", 2), Tokens("a1", 1), who("a"))
B = StoredCredentials("b", Tokens("b1", 1), None, who("b"))
MAIL = StoredCredentials("mail", Tokens("m1", 1), None, Identity("", "m@example.invalid", ""))
WORK = StoredCredentials("work", Tokens("w1", 1), None, Identity("u", "e", "o"))
HOME = StoredCredentials("home", Tokens("h1", 1), None, Identity("u", "e", ""))


def uuid(name: str) -> str:
    return str(identity(name)["accountUuid"])


@pytest.mark.parametrize(
    ("tokens", "stores", "named", "excluded"),
    [
        (Tokens("x", 1), [A, B], None, ()),
        (Tokens("x", 1, uuid("a")), [A, B], ("a",), ("b",)),
        (Tokens("x", 1, uuid("c")), [A, B], (), ("a", "b")),
        (Tokens("x", 1, uuid("c")), [A, MAIL], None, ("a",)),  # it may be the one that names only an address
        (Tokens("x", 1, "u", "o"), [WORK, HOME], ("work",), ()),
        (Tokens("x", 1, "u"), [WORK, HOME], ("home",), ()),
        (Tokens("x", 1, "u", "p"), [WORK, HOME], ("home",), ()),
        (Tokens("x", 1, "u", "p"), [WORK], (), ()),
        (Tokens("x", 1, "u"), [StoredCredentials("c", Tokens("y", 1, "u"))], ("c",), ()),  # the store's tokens say it
    ],
)
def test_the_accounts_that_credentials_name(
    tokens: Tokens, stores: list[StoredCredentials], named: tuple[str, ...] | None, excluded: tuple[str, ...]
) -> None:
    assert credentials.named(tokens, stores) == named
    assert credentials.excluded(tokens, stores) == excluded


@pytest.mark.parametrize(
    ("found", "stores", "names"),
    [
        (None, [A, B], None),
        (who("a"), [A, B], ("a",)),
        (who("c"), [A, B], ()),
        (Identity("u", "e", "o"), [WORK, HOME], ("work",)),
        (Identity("u", "e", ""), [WORK, HOME], ("home",)),
        (Identity("u", "e", "p"), [WORK, HOME], ("home",)),
        (Identity("u", "e", "o"), [HOME], ("home",)),
        (Identity("u", "e", "o"), [StoredCredentials("c")], ()),
    ],
)
def test_the_accounts_that_an_identity_fits(
    found: Identity | None, stores: list[StoredCredentials], names: tuple[str, ...] | None
) -> None:
    assert credentials.identified(found, stores) == names


def test_the_stores_and_the_lineage_know_tokens() -> None:
    assert credentials.holders(Tokens("a1", 1), [A, B]) == ("a",)
    assert credentials.holders(Tokens("x", 1), [A, B]) == ()
    mark = fingerprints.made("x")
    assert credentials.in_lineage(Tokens("x", 1), {mark: "a"}) == ("a",)
    assert credentials.in_lineage(Tokens("y", 1), {mark: "a"}) == ()
