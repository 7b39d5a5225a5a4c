"""Change single members of a JSON object in place: every other byte stays."""

import json
from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from failover_oneshot.accounts import json_document

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


MARK = b"\xef\xbb\xbf"
# What Claude Code reads too, as the bytes of a file: strings with bytes that are not UTF-8 and halves of pairs as
# escapes, objects with duplicate keys, any white space.
PIECES = st.sampled_from(
    [b"a", b"\xc3\xa9", b"\xff", b"\xc3", b"\xa9", b"\\ud800", b"\\udc00", b"\\n", b"\\u00e9", b" "]
)
STRINGS = st.lists(PIECES, max_size=4).map(lambda pieces: b'"' + b"".join(pieces) + b'"')
KEYS = st.sampled_from([b'"a"', b'"\\u0061"', b'"b"', b'"\xff"', b'"oauthAccount"', b'""'])
SPACES = st.sampled_from([b"", b"", b" ", b"\n  ", b"\r\n\t"])


def _listed(opening: bytes, entries: list[bytes], space: bytes, closing: bytes) -> bytes:
    return opening + space + (b"," + space).join(entries) + space + closing


def _objects(values: st.SearchStrategy[bytes]) -> st.SearchStrategy[bytes]:
    members = st.builds(lambda key, space, value: key + b":" + space + value, KEYS, SPACES, values)
    return st.builds(_listed, st.just(b"{"), st.lists(members, max_size=5), SPACES, st.just(b"}"))


ANY_VALUE = st.recursive(
    STRINGS | st.sampled_from([b"0", b"-1.50", b"1e3", b"null", b"true", b"1" * 5000]),
    lambda inner: (
        _objects(inner) | st.builds(_listed, st.just(b"["), st.lists(inner, max_size=3), SPACES, st.just(b"]"))
    ),
    max_leaves=6,
)
FILES = st.builds(lambda *parts: b"".join(parts), st.sampled_from([b"", MARK]), SPACES, _objects(ANY_VALUE), SPACES)


def loaded(data: bytes) -> Any:
    """The values as `json.loads` gives them, which takes the last of duplicates like JSON.parse."""
    text = data.removeprefix(MARK).decode(errors="surrogateescape")
    return json.loads(text, parse_int=lambda digits: float(digits) if len(digits) > 4300 else int(digits))


def text(values: dict[str, Any], style: dict[str, Any]) -> bytes:
    try:
        return json.dumps(values, **style).encode()
    except UnicodeEncodeError:  # a lone surrogate
        return json.dumps(values, **{**style, "ensure_ascii": True}).encode()


@given(OBJECTS, st.text(max_size=3), VALUES, STYLES)
def test_setting_a_member_keeps_all_others_byte_for_byte(
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
def test_removing_a_member_keeps_all_others(values: dict[str, Any], style: dict[str, Any], data: st.DataObject) -> None:
    key = data.draw(st.sampled_from([*values, "none"]))
    after = json_document.parse(
        json_document.encode(json_document.without(json_document.parse(text(values, style)), key))
    )
    assert after.values == {k: v for k, v in values.items() if k != key}


@given(FILES)
def test_every_byte_of_a_file_comes_out_as_it_was(data: bytes) -> None:
    document = json_document.parse(data)
    assert json_document.encode(document) == data
    assert document.values == loaded(data)


@given(FILES, st.sampled_from(["a", "b", "\udcff", "oauthAccount", "new"]), ANY_VALUE)
def test_replacing_changes_only_the_value_that_counts(data: bytes, key: str, value: bytes) -> None:
    before, new = json_document.parse(data), json_document.parse(b'{"v":' + value + b"}").values["v"]
    assume("Infinity" not in json.dumps(new))  # such a number is never written
    after = json_document.replace(before, key, new)
    assert after == json_document.parse(json_document.encode(after)), "the positions are those of the new text"
    assert loaded(json_document.encode(after)) == {**loaded(data), key: new}
    last = next((member for member in reversed(before.members) if member.key == key), None)
    start, end = (
        (last.value_start, last.end) if last else 2 * (before.members[-1].end if before.members else before.opened,)
    )
    assert after.text.startswith(before.text[:start])
    assert after.text.endswith(before.text[end:])
    assert json_document.replace(after, key, new) == after


@given(FILES, st.sampled_from(["a", "b", "\udcff", "oauthAccount", ""]))
def test_removing_leaves_no_duplicate_and_all_other_members(data: bytes, key: str) -> None:
    before = json_document.parse(data)
    after = json_document.without(before, key)
    assert after == json_document.parse(json_document.encode(after)), "the positions are those of the new text"
    assert loaded(json_document.encode(after)) == {k: v for k, v in loaded(data).items() if k != key}
    others = [before.text[member.start : member.end] for member in before.members if member.key != key]
    assert [after.text[member.start : member.end] for member in after.members] == others


@pytest.mark.parametrize(
    ("before", "replaced", "removed"),
    [
        (b'\xef\xbb\xbf{"a":1}', b'\xef\xbb\xbf{"a":"N"}', b"\xef\xbb\xbf{}"),
        (b'{"a":1,"b":2,"a":3}', b'{"a":1,"b":2,"a":"N"}', b'{"b":2}'),
        (b'{"b":1,"a":2,"\\u0061":3,"b":4}', b'{"b":1,"a":2,"\\u0061":"N","b":4}', b'{"b":1,"b":4}'),
        (b'{"b":{"a":1,"a":2},"a":{"c":1,"c":2}}', b'{"b":{"a":1,"a":2},"a":"N"}', b'{"b":{"a":1,"a":2}}'),
        (b'{"\xff":"\xc3","a":1, "b":"\xa9"}', b'{"\xff":"\xc3","a":"N", "b":"\xa9"}', b'{"\xff":"\xc3", "b":"\xa9"}'),
        (b'{ "a": 1,\n "a": 2 }\n', b'{ "a": 1,\n "a": "N" }\n', b"{  }\n"),
    ],
)
def test_what_claude_code_reads_is_edited_in_place(before: bytes, replaced: bytes, removed: bytes) -> None:
    document = json_document.parse(before)
    assert json_document.encode(json_document.replace(document, "a", "N")) == replaced
    assert json_document.encode(json_document.without(document, "a")) == removed


def test_a_value_keeps_its_bytes_in_another_document() -> None:
    value = json_document.parse(b'{"a":{"k\xff":"\xc3(\\ud800\xf0\x9f"}}').values["a"]
    assert json_document.encode(json_document.replace(json_document.EMPTY, "a", value)) == (
        b'{"a":{"k\xff":"\xc3(\\ud800\xf0\x9f"}}'
    )
    assert json_document.rendered(value) == b'{\n  "k\xff": "\xc3(\\ud800\xf0\x9f"\n}\n'
    joined = json_document.parse(b'{"a":"\\udcc3\\udca9"}').values  # as bytes these would be a letter
    assert json_document.rendered(joined) == b'{\n  "a": "\\udcc3\\udca9"\n}\n'


def test_a_large_document_is_edited_in_place() -> None:
    history = b",".join(b'"p%d":{"history":["%s\xff"]}' % (number, b"x" * 1000) for number in range(30_000))
    data = b'{"oauthAccount":{"a":1},' + history + b"}"
    changed = json_document.replace(json_document.parse(data), "oauthAccount", {"b": 2})
    assert json_document.encode(changed) == b'{"oauthAccount":{"b":2},' + history + b"}"


@given(OBJECTS, VALUES, st.sampled_from([2, 4, "\t"]))
def test_an_indented_file_is_written_as_its_program_would(values: dict[str, Any], value: Any, indent: Any) -> None:
    before = {"z": 1, **values}
    changed = json_document.replace(json_document.parse(text(before, {"indent": indent})), "z", value)
    assert json.loads(changed.text) == {**before, "z": value}
    if changed.text.isascii() and "\x7f" not in changed.text:  # only Python escapes it
        assert changed.text == json.dumps({**before, "z": value}, indent=indent)


@pytest.mark.parametrize(
    "data",
    [
        *(b"", b" ", b"{", b"[]", b"1", b'{"a":1', b'{"a":1}x', b'{"a":1,}', b"{1:2}", b'{"a":NaN}'),
        *(
            b'{"a" 1}',
            b'{"a":1 "b":2}',
            b'\xef\xbb\xbf\xef\xbb\xbf{"a":1}',
            b'{"a":1}\xef\xbb\xbf',
            b"\xff",
            b'{"a":\xff}',
            b'{"a":"\xff',
            b'{"a":{"b":[1,]}}',
            b'{"a":-Infinity}',
            b"{" + b'"a":{' * 5000,
            b'{"a":"\n"}',
            b"\0" * 9,
        ),
    ],
)
def test_text_that_is_not_one_object_is_refused_and_not_quoted(data: bytes) -> None:
    with pytest.raises(ValueError, match=r"^not a JSON (object|number)$"):
        json_document.parse(data)
