"""An account is added to the text of a configuration, and every other character stays."""

import re
from textwrap import dedent
from typing import Any

import pytest
import yaml
from hypothesis import assume, given, reject, settings
from hypothesis import strategies as st

from failover_oneshot.config import yaml_source
from failover_oneshot.ctl.lib.config_edit import with_account
from tests.support.paths import ROOT

STORE = "~/.claude-accounts/third"
EXAMPLE = (ROOT / "etc/failover.yaml").read_text(encoding="utf-8")

# the text before, and after the account `third` was added
BLOCK_LISTS = {
    "two columns": (
        """\
        accounts:
          - name: main
            store: ~/a/main  # mine
        swap:
          method: claude
        """,
        """\
        accounts:
          - name: main
            store: ~/a/main  # mine
          - name: third
            store: ~/.claude-accounts/third
        swap:
          method: claude
        """,
    ),
    "dashes below the key": (
        """\
        accounts:
        - name: main
          store: a
        # the swap
        swap: {}
        """,
        """\
        accounts:
        - name: main
          store: a
        - name: third
          store: ~/.claude-accounts/third
        # the swap
        swap: {}
        """,
    ),
    "wide dashes": (
        """\
        accounts:
            -   name: main
                store: a
        """,
        """\
        accounts:
            -   name: main
                store: a
            -   name: third
                store: ~/.claude-accounts/third
        """,
    ),
    "dashes on lines of their own": (
        """\
        accounts:
          -
            name: main
            store: a
          - # the spare
            name: backup
            store: b
        """,
        """\
        accounts:
          -
            name: main
            store: a
          - # the spare
            name: backup
            store: b
          - name: third
            store: ~/.claude-accounts/third
        """,
    ),
    "braces in a block list": (
        """\
        accounts:
          - {name: main, store: a}  # mine
        """,
        """\
        accounts:
          - {name: main, store: a}  # mine
          - {name: third, store: ~/.claude-accounts/third}
        """,
    ),
    "a comment of the last entry": (
        """\
        accounts:
          - name: main
            store: a
            # env: {}

          # - name: old
          #   store: old

        # how to swap
        swap: {}
        """,
        """\
        accounts:
          - name: main
            store: a
            # env: {}

          # - name: old
          #   store: old
          - name: third
            store: ~/.claude-accounts/third

        # how to swap
        swap: {}
        """,
    ),
    "a blank value last": (
        """\
        accounts:
          - name: main
            store: a
            env_file:   # none

        swap: {}
        """,
        """\
        accounts:
          - name: main
            store: a
            env_file:   # none
          - name: third
            store: ~/.claude-accounts/third

        swap: {}
        """,
    ),
    "a text of several lines last": (
        """\
        accounts:
          - name: main
            env:
              A: |
                # not a comment
                x
        swap: {}
        """,
        """\
        accounts:
          - name: main
            env:
              A: |
                # not a comment
                x
          - name: third
            store: ~/.claude-accounts/third
        swap: {}
        """,
    ),
    "an alias last": (
        """\
        accounts:
          - &one
            name: main
            env: &env {A: b}
          - name: backup
            env: *env
        swap: {}
        """,
        """\
        accounts:
          - &one
            name: main
            env: &env {A: b}
          - name: backup
            env: *env
          - name: third
            store: ~/.claude-accounts/third
        swap: {}
        """,
    ),
    "an indented document": (
        """\
        ---
          accounts:
            - name: main
          swap: {}
        ...
        """,
        """\
        ---
          accounts:
            - name: main
            - name: third
              store: ~/.claude-accounts/third
          swap: {}
        ...
        """,
    ),
}

EMPTY_LISTS = {
    "brackets": (
        """\
        # all
        accounts: []
        swap:
            method: claude
        """,
        """\
        # all
        accounts:
            - name: third
              store: ~/.claude-accounts/third
        swap:
            method: claude
        """,
    ),
    "brackets and a comment": (
        """\
        accounts: []  # none yet
        """,
        """\
        accounts:   # none yet
          - name: third
            store: ~/.claude-accounts/third
        """,
    ),
    "a comment in the brackets": (
        """\
        accounts: [  # none yet
        ]
        """,
        """\
        accounts: [  # none yet
        {name: third, store: ~/.claude-accounts/third}]
        """,
    ),
    "no value": (
        """\
        accounts:  # in order
        swap: {}
        """,
        """\
        accounts:  # in order
          - name: third
            store: ~/.claude-accounts/third
        swap: {}
        """,
    ),
    "null": (
        """\
        swap: {}
        accounts: ~
        """,
        """\
        swap: {}
        accounts:
          - name: third
            store: ~/.claude-accounts/third
        """,
    ),
    "no key": (
        """\
        swap:
          method: claude
        # the end
        """,
        """\
        swap:
          method: claude
        # the end
        accounts:
          - name: third
            store: ~/.claude-accounts/third
        """,
    ),
    "no key, and an end of the document": (
        """\
        ---
        swap: {}
        ...
        # the end
        """,
        """\
        ---
        swap: {}
        accounts:
          - name: third
            store: ~/.claude-accounts/third
        ...
        # the end
        """,
    ),
    "no key, and a text that keeps its end": (
        """\
        pool:
          autonomous:
            nudge: |+
              go on

        """,
        """\
        pool:
          autonomous:
            nudge: |+
              go on

        accounts:
          - name: third
            store: ~/.claude-accounts/third
        """,
    ),
}

BRACKETS = {
    "one line": (
        "accounts: [{name: main, store: a}]  # all\n",
        "accounts: [{name: main, store: a}, {name: third, store: ~/.claude-accounts/third}]  # all\n",
    ),
    "a comma at the end": (
        "accounts: [{name: main, store: a}, ]\n",
        "accounts: [{name: main, store: a}, {name: third, store: ~/.claude-accounts/third}, ]\n",
    ),
    "a line each": (
        """\
        accounts: [
          {name: main, store: a},
          {name: backup, store: b}  # spare, for now
          # {name: old}
        ]
        """,
        """\
        accounts: [
          {name: main, store: a},
          {name: backup, store: b},  # spare, for now
          # {name: old}
          {name: third, store: ~/.claude-accounts/third}
        ]
        """,
    ),
    "a line each, with a comma at the end": (
        """\
        accounts: [
          {name: main, store: a},
        ]
        """,
        """\
        accounts: [
          {name: main, store: a},
          {name: third, store: ~/.claude-accounts/third},
        ]
        """,
    ),
    "below each other": (
        """\
        accounts: [{name: main, store: a},
                   {name: backup, store: b}]
        """,
        """\
        accounts: [{name: main, store: a},
                   {name: backup, store: b},
                   {name: third, store: ~/.claude-accounts/third}]
        """,
    ),
    "JSON": (
        """\
        {
          "accounts": [
            {
              "name": "main",
              "store": "a"
            }
          ]
        }
        """,
        """\
        {
          "accounts": [
            {
              "name": "main",
              "store": "a"
            },
            {"name": "third", "store": "~/.claude-accounts/third"}
          ]
        }
        """,
    ),
    "JSON without accounts": (
        '{"swap": {}}',
        '{"swap": {}, "accounts": [{"name": "third", "store": "~/.claude-accounts/third"}]}',
    ),
    "JSON with null": (
        '{"accounts": null}',
        '{"accounts": [{"name": "third", "store": "~/.claude-accounts/third"}]}',
    ),
    "no settings": ("{}\n", "{accounts: [{name: third, store: ~/.claude-accounts/third}]}\n"),
}


def cases() -> list[Any]:
    tables = {**BLOCK_LISTS, **{f"empty: {k}": v for k, v in EMPTY_LISTS.items()}, **BRACKETS}
    return [pytest.param(dedent(before), dedent(after), id=name) for name, (before, after) in tables.items()]


@pytest.mark.parametrize(("before", "after"), cases())
def test_an_account_is_added_as_a_person_would(before: str, after: str) -> None:
    assert with_account(before, "third", STORE) == after


@pytest.mark.parametrize(("before", "after"), cases())
@pytest.mark.parametrize("newline", ["\r\n", "\r"])
def test_the_line_ends_of_the_text_are_used(before: str, after: str, newline: str) -> None:
    assert with_account(before.replace("\n", newline), "third", STORE) == after.replace("\n", newline)


@pytest.mark.parametrize(("before", "after"), cases())
def test_a_missing_last_line_end_stays_missing(before: str, after: str) -> None:
    if "|" not in before:  # there it is part of a value
        assert with_account(before.rstrip("\n"), "third", STORE) == after.rstrip("\n")


def test_a_byte_order_mark_stays_at_the_beginning() -> None:
    after = with_account("\ufeffaccounts: [{name: a}]", "third", STORE)
    assert after == "\ufeffaccounts: [{name: a}, {name: third, store: ~/.claude-accounts/third}]"


def test_the_example_gets_one_more_entry_below_the_last() -> None:
    line = "    store: ~/.claude-accounts/backup  # production\n"
    new = f"  - name: third\n    store: {STORE}\n"
    assert with_account(EXAMPLE, "third", STORE) == EXAMPLE.replace(line, line + new)


@pytest.mark.parametrize(
    "name", ["123", "true", "null", "1e5", "@work", "+1", "on", "1_000", "0x1f", "2024-01-01", "_"]
)
@pytest.mark.parametrize("text", ["accounts: []\n", "accounts: [{name: main}]\n", '{"accounts": []}', "swap: {}\n"])
def test_a_name_that_yaml_reads_as_something_else_is_quoted(text: str, name: str) -> None:
    assert added(text, name, "/a b/it's: #1 {x}, [y]") == {"name": name, "store": "/a b/it's: #1 {x}, [y]"}


@pytest.mark.parametrize(
    "text",
    [
        *(
            "",
            "# nothing\n",
            "- name: main\n",
            "text",
            "accounts: main\n",
            "accounts: {main: x}\n",
            "a: [",
            "a: 1\na: 2\n",
        ),
        "all: &all [{name: main}]\naccounts: *all\n",  # the list would be longer in two places
        "accounts: &all [{name: main}]\nother: *all\n",
        "accounts: &none\nother: *none\n",
        "base: &base {accounts: [{name: main}]}\n<<: *base\n",
    ],
)
def test_what_cannot_be_edited_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        with_account(text, "third", STORE)


def test_an_error_quotes_no_value() -> None:
    with pytest.raises(ValueError, match=r"^line 1, column 6: ") as error:
        with_account("url: 'https://fake-secret", "third", STORE)
    assert "secret" not in str(error.value)


# -- any configuration -------------------------------------------------------------------------------------------------

WORDS = st.sampled_from(
    ["main", "a b", "yes", "1", "", "it's", "x: y", "# x", "- x", "two\nlines", "two\n\n", "é", "{"]
)
ENTRIES = st.fixed_dictionaries(
    {"name": WORDS},
    optional={"store": WORDS, "env": st.dictionaries(WORDS, WORDS, max_size=2), "enabled": st.booleans()},
)
CONFIGS = st.fixed_dictionaries(
    {},
    optional={
        "swap": st.fixed_dictionaries({}, optional={"method": WORDS, "files": st.lists(WORDS, max_size=3)}),
        "accounts": st.none() | st.lists(ENTRIES, max_size=3),
        "pool": st.fixed_dictionaries({"dedicated": st.lists(ENTRIES, max_size=2)}),
    },
)


@st.composite
def written(draw: st.DrawFn) -> str:
    """Any configuration, as PyYAML writes it in one of its styles, with comments and blank lines between the lines."""
    values = draw(CONFIGS.filter(bool))
    values = {key: values[key] for key in draw(st.permutations(sorted(values)))}
    options: dict[str, Any] = {
        "default_flow_style": draw(st.sampled_from([True, False, None])),
        "default_style": draw(st.sampled_from([None, '"', "'", *"|>"] if values.get("accounts", True) else [None])),
        "indent": draw(st.sampled_from([2, 4, 8])),
        "width": draw(st.sampled_from([20, 80])),
        "explicit_start": draw(st.booleans()),
        "explicit_end": draw(st.booleans()),
    }
    text = yaml.safe_dump(values, sort_keys=False, allow_unicode=True, **options)
    lines = text.splitlines(keepends=True)
    for _ in range(draw(st.integers(0, 4))):
        comment = draw(st.sampled_from(["\n", "# x\n", "  # - name: old\n", "      # deep\n"]))
        changed = [*lines]
        changed.insert(draw(st.integers(0, len(lines))), comment)
        if same("".join(changed), values):
            lines = changed
    newline = draw(st.sampled_from(["\n", "\n", "\r\n"]))
    text = "".join(lines).replace("\n", newline)
    bare = text.removesuffix(newline)
    return bare if draw(st.booleans()) and same(bare, values) else text


EMPTY = r"(accounts['\"]?:) (\[\]|null)"


def parsed(text: str) -> object:
    return yaml_source.parse(text.encode()).data


def same(text: str, values: object) -> bool:
    try:
        return parsed(text) == values
    except yaml_source.UnreadableError:
        return False


def added(text: str, name: str, store: str) -> object:
    """The account that was added; everything else must be as before."""
    before, after = parsed(text), parsed(with_account(text, name, store))
    assert isinstance(before, dict)
    assert isinstance(after, dict)
    last = after["accounts"].pop()
    assert after == {**before, "accounts": before.get("accounts") or []}
    return last


def subsequence(small: str, large: str) -> bool:
    """Whether the small text is what is left of the large one without some characters."""
    rest = iter(large)
    return all(character in rest for character in small)


@settings(max_examples=500, deadline=None)
@given(written(), st.sampled_from(["third", "1", "a@b"]), st.sampled_from([STORE, "/a b/c"]))
def test_any_configuration_keeps_its_text_and_its_values(text: str, name: str, store: str) -> None:
    """Every character is kept, except an empty list or `null` that gives way to the new list."""
    assert added(text, name, store) == {"name": name, "store": store}
    after = with_account(text, name, store)
    assert subsequence(text, after) or subsequence(re.sub(EMPTY, r"\1", text), after)
    assert after.endswith(("\n", "\r")) == text.endswith(("\n", "\r"))


LINES = EXAMPLE.splitlines(keepends=True)


@settings(max_examples=300)
@given(st.sets(st.integers(0, len(LINES) - 1), max_size=8), st.booleans())
def test_the_example_without_some_lines_keeps_its_values(dropped: set[int], crlf: bool) -> None:
    text = "".join(line for number, line in enumerate(LINES) if number not in dropped)
    text = text.replace("\n", "\r\n") if crlf else text
    try:
        tree = yaml_source.parse(text.encode())
    except yaml_source.UnreadableError:
        reject()
    values = tree.data
    assume(isinstance(values, dict) and not tree.problems and isinstance(values.get("accounts"), list | None))
    assert added(text, "third", STORE) == {"name": "third", "store": STORE}
    assert subsequence(text, with_account(text, "third", STORE))
