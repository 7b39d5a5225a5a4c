"""Change single members of a JSON object in place: every other byte stays."""

import json
from typing import Any

import pytest
from hypothesis import given
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
def test_text_that_is_not_one_object_is_refused_and_not_quoted(data: bytes) -> None:
    with pytest.raises(ValueError, match=r"^not a JSON (object|number)$"):
        json_document.parse(data)
