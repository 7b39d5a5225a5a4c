"""The pure parts: JSON text changed in place, whose a login is, what may go to a store, what a file says of itself."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from failover_oneshot.accounts import credential_facts, credentials, json_document
from failover_oneshot.accounts.credentials import Identity, Saving, Stored, Tokens
from tests.support.account_methods import identity, login

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=6,
)
OBJECTS = st.dictionaries(st.text(max_size=4) | st.sampled_from(["a", "oauthAccount"]), VALUES, max_size=5)
STYLES = st.sampled_from(
    [
        {"separators": (",", ":")},
        {},
        {"indent": 2},
        {"indent": "\t"},
        {"indent": 4, "ensure_ascii": False},
    ]
)


def text(values: dict[str, Any], style: dict[str, Any]) -> bytes:
    try:
        return json.dumps(values, **style).encode()
    except UnicodeEncodeError:  # half a surrogate pair
        return json.dumps(values, **{**style, "ensure_ascii": True}).encode()


@given(OBJECTS, st.text(max_size=3), VALUES, STYLES)
def test_a_member_is_set_and_all_others_stay_to_the_byte(
    values: dict[str, Any], key: str, value: Any, style: dict[str, Any]
) -> None:
    before = json_document.parse(text(values, style))
    after = json_document.parse(json_document.encode(json_document.replace(before, key, value)))
    assert after.values == {**values, key: value}
    assert list(after.values) == list({**values, key: value})
    for old, new in zip(before.members, after.members, strict=False):
        if old.key != key:
            assert before.text[old.start : old.end] == after.text[new.start : new.end]
    again = json_document.replace(after, key, value)
    assert again.text == after.text


@given(OBJECTS, STYLES, st.data())
def test_a_member_is_taken_away(values: dict[str, Any], style: dict[str, Any], data: st.DataObject) -> None:
    key = data.draw(st.sampled_from([*values, "none"]))
    after = json_document.parse(
        json_document.encode(json_document.without(json_document.parse(text(values, style)), key))
    )
    assert after.values == {k: v for k, v in values.items() if k != key}


@given(OBJECTS, VALUES, st.sampled_from([2, 4, "\t"]))
def test_an_indented_file_is_written_as_its_program_would(values: dict[str, Any], value: Any, indent: Any) -> None:
    before = {"z": 1, **values}
    changed = json_document.replace(json_document.parse(text(before, {"indent": indent})), "z", value)
    assert json.loads(changed.text) == {**before, "z": value}
    if all(c.isascii() for c in changed.text):
        assert changed.text == json.dumps({**before, "z": value}, indent=indent)


@pytest.mark.parametrize(
    "data",
    [
        *(b"", b" ", b"{", b"[]", b"1", b'{"a":1', b'{"a":1}x', b'{"a":1,}', b'{"a":1,"a":2}', b"{1:2}", b'{"a":NaN}'),
        *(
            b'{"a" 1}',
            b'{"a":1 "b":2}',
            b'\xef\xbb\xbf{"a":1}',
            b"\xff",
            b"{" + b'"a":{' * 5000,
            b'{"a":"\n"}',
            b"\0" * 9,
        ),
    ],
)
def test_what_is_not_one_object_is_refused_without_being_quoted(data: bytes) -> None:
    with pytest.raises(ValueError, match=r"^not a JSON (object|number)$"):
        json_document.parse(data)


def test_nothing_secret_in_a_repr() -> None:
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
def test_blank(block: Any) -> None:
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
def test_same_identity(one: Identity, other: Identity, same: bool) -> None:
    assert one.same(other) is other.same(one) is same


NEW, OLD = Tokens("new", 2), Tokens("old", 1)


@pytest.mark.parametrize(
    ("live", "stored", "previous", "verdict"),
    [
        (NEW, None, None, Saving.WRITE),
        (NEW, OLD, None, Saving.WRITE),
        (OLD, NEW, None, Saving.ASIDE),
        (OLD, NEW, OLD, Saving.KEEP),
        (NEW, NEW, None, Saving.WRITE),
        (Tokens("new", 1), NEW, None, Saving.KEEP),
        (Tokens("x", 2), NEW, None, Saving.WRITE),
        (Tokens("x", None), NEW, None, Saving.ASIDE),
        (NEW, Tokens("x", None), None, Saving.WRITE),
    ],
)
def test_what_may_go_to_a_store(live: Tokens, stored: Tokens | None, previous: Tokens | None, verdict: Saving) -> None:
    assert credentials.saving(live, stored, previous) is verdict


def who(name: str) -> Identity | None:
    return credentials.identity_of(identity(name))


A = Stored("a", Tokens("a2", 2), Tokens("a1", 1), who("a"))
B = Stored("b", Tokens("b1", 1), None, who("b"))


@pytest.mark.parametrize(
    ("token", "beside", "stores", "lineage", "presumed", "name"),
    [
        ("a2", "a", [A, B], {}, None, "a"),
        ("a3", "a", [A, B], {}, "b", "a"),  # refreshed
        ("b1", "a", [A, B], {}, "a", "b"),  # half a swap: the token counts
        ("a1", "b", [A, B], {}, "b", "a"),
        ("x", "c", [A, B], {}, "a", None),  # a stranger's login
        ("x", None, [A, B], {}, "a", None),
        ("x", None, [A, B], {credentials.fingerprint("x", "salt"): "a"}, "b", "a"),
        ("b1", "b", [B, Stored("c", B.tokens, None, who("b"))], {}, "b", "b"),
        ("b1", "b", [B, Stored("c", B.tokens, None, who("b"))], {}, None, None),
        ("b1", "b", [B, Stored("c", B.tokens, None, who("c"))], {}, None, "b"),
        ("x", "c", [Stored("a"), B], {}, "a", "a"),  # the first content of a store
        ("x", "b", [Stored("a"), B], {}, "a", "b"),
        ("x", "c", [Stored("a"), B], {}, None, None),
    ],
)
def test_whose_a_login_is(
    token: str,
    beside: str | None,
    stores: list[Stored],
    lineage: dict[str, str],
    presumed: str | None,
    name: str | None,
) -> None:
    found = credentials.owner(Tokens(token, 3), who(beside) if beside else None, stores, lineage, presumed)
    assert found == name


def test_a_fingerprint_fits_its_secret_only_and_does_not_tell_it() -> None:
    mark = credentials.fingerprint("fake-secret", "0011223344556677")
    assert credentials.fits(mark, "fake-secret")
    assert not credentials.fits(mark, "fake-secret2")
    assert not credentials.fits("", "fake-secret")
    assert "secret" not in mark
    assert credentials.fingerprint("fake-secret", "8899aabbccddeeff").partition(":")[2] != mark.partition(":")[2]


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b'{"tokens": {"account_id": "ACC", "refresh_token": "r"}}', "acc"),
        (b'{"email": "e@x", "account": {"accountUuid": "u"}}', "u"),
        (b'{"active": "me@example.com", "old": []}', "me@example.com"),
        (b'{"active": "yes"}', None),
        (b'{"account_id": ""}', None),
        (b"plain text", None),
        (b"", None),
    ],
)
def test_who_a_file_says_that_it_belongs_to(content: bytes, says: str | None) -> None:
    assert credential_facts.identity(content) == says


@pytest.mark.parametrize(
    ("content", "blank"),
    [
        (b"", True),
        (b" \n", True),
        (b"x", False),
        (b"{}", False),
        (b'{"tokens": {"refresh_token": "", "access_token": null}}', True),
        (b'{"tokens": {"refresh_token": "r", "access_token": ""}}', False),
    ],
)
def test_a_blank_file(content: bytes, blank: bool) -> None:
    assert credential_facts.blank(content) is blank


@pytest.mark.parametrize(
    ("one", "other", "older"),
    [
        ({"expiry_date": 1}, {"expiry_date": 2}, True),
        ({"expiry_date": 2}, {"expiry_date": 2}, False),
        ({"expiry_date": 1}, {"expiresAt": 2}, False),
        ({"last_refresh": "2026-01-01T00:00:00Z"}, {"last_refresh": "2026-01-01T02:00:00+01:00"}, True),
        ({"last_refresh": "nonsense"}, {"last_refresh": "2026-01-01T02:00:00+01:00"}, False),
        ({"expiry_date": True}, {"expiry_date": 2}, False),
    ],
)
def test_the_older_file(one: dict[str, Any], other: dict[str, Any], older: bool) -> None:
    assert credential_facts.older(json.dumps(one).encode(), json.dumps(other).encode()) is older
