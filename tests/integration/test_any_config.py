"""Any configuration file gives a Config, or a ConfigError of few and short lines."""

import re
from pathlib import Path

import msgspec
import pytest
import yaml
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator, validators

from failover_oneshot.config import errors, schema, yaml_source
from failover_oneshot.config.loader import load
from failover_oneshot.config.model import Config
from tests.support.config_problems import problems
from tests.support.paths import ROOT

EXAMPLE = (ROOT / "etc/failover.yaml").read_text(encoding="utf-8")
LINE = re.compile(r"f\.yaml(:[0-9]+:[0-9]+)?: [^\n]+")


def bomb(levels: int, form: str) -> str:
    lines = ["a0: &a0 " + ("{k: v}" if "<<" in form else "[x]")]
    for n in range(1, levels):
        lines.append(f"a{n}: &a{n} " + form.format(", ".join([f"*a{n - 1}"] * 10)))
    return "\n".join(lines)


@pytest.mark.parametrize(
    "text",
    [
        bomb(12, "[{}]"),
        bomb(12, "{{<<: [{}]}}"),
        "a: &a {" + ", ".join(f"k{i}: v" for i in range(20_000)) + "}\nb: [" + ", ".join(["{<<: *a}"] * 20_000) + "]",
        "a: [" + "x, " * 60_000 + "]",
        "- " * 300_000,
        "{a: " * 100_000,
        "? " * 300_000,
        "a0: &a0 {}\n" + "\n".join(f"a{i}: &a{i} {{<<: *a{i - 1}}}" for i in range(1, 2000)),
        "accounts: [" + "{name: x, zz: 1}, " * 10_000 + "]",
        "quota: {" + ", ".join(f"k{i}: 1" for i in range(20_000)) + "}",
    ],
    ids=["lists", "merges", "wide merges", "long", "deep lists", "deep maps", "deep keys", "chain", "accounts", "keys"],
)
def test_bombs_stay_small(tmp_path: Path, text: str) -> None:
    """The error has few lines, none of them long, and libyaml's composer does not crash."""
    found = problems(tmp_path, text)
    assert 1 <= len(found) <= errors.MAX_PROBLEMS + 1
    assert sum(map(len, found)) < 50_000


quick = settings(
    max_examples=150,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],  # the folder may be shared
)
LINES = EXAMPLE.splitlines(keepends=True)
VALUES = st.sampled_from(
    [
        *("", "~", "-1", "0", "1", "1e9", ".nan", "on", "010", "x", "''", "[]", "{}", "[~]", "[[]]", "{a: b}", "30s"),
        *("*a", "&a 1", "!x y", "'", '"\\0"', "|", "{name}", "'{x}'", "$X", "//", "/(/", "${", "{<<: *a}", "\t", "- -"),
        *("2024-01-01", "9" * 30),
    ]
)


@st.composite
def mutated(draw: st.DrawFn) -> str:
    """The example with some lines dropped, doubled, swapped, indented differently or with another value."""
    lines = list(LINES)
    for _ in range(draw(st.integers(1, 6))):
        i = draw(st.integers(0, len(lines) - 1))
        change = draw(st.sampled_from(["drop", "double", "swap", "indent", "dedent", "value", "value", "value", "cut"]))
        if change == "drop":
            lines[i] = ""
        elif change == "double":
            lines[i] *= 2
        elif change == "swap":
            j = draw(st.integers(0, len(lines) - 1))
            lines[i], lines[j] = lines[j], lines[i]
        elif change == "indent":
            lines[i] = "  " + lines[i]
        elif change == "dedent":
            lines[i] = lines[i].removeprefix("  ")
        elif change == "cut":
            lines[i] = lines[i][: draw(st.integers(0, 30))] + "\n"
        elif ":" in lines[i]:
            lines[i] = f"{lines[i].partition(':')[0]}: {draw(VALUES)}\n"
    return "".join(lines)


# JSON Schema accepts 10.0 as an integer; a configuration does not.
STRICT = Draft202012Validator.TYPE_CHECKER.redefine("integer", lambda _, value: type(value) is int)
PUBLISHED = validators.extend(Draft202012Validator, type_checker=STRICT)(schema.schema())  # type: ignore[no-untyped-call]
OF_TYPE = re.compile(
    r": (unknown key|is missing$|has no value|"
    r"must be (text|a whole number|true or false|a mapping|a list|one of|at least))"
)


def check_any(folder: Path, text: str) -> None:
    """Assert one line for each problem, and that the published schema and msgspec agree on keys and types."""
    file = folder / "f.yaml"
    try:
        found = problems(folder, text)
        data = yaml_source.parse(file.read_bytes()).data
    except (UnicodeEncodeError, yaml_source.UnreadableError):
        return
    for line in found:
        assert LINE.fullmatch(line), line
    if PUBLISHED.is_valid(data):
        assert not any(OF_TYPE.search(line) for line in found)
    else:
        assert found
    if not found:
        config = load(file, {"HOME": "/home/ada"})
        plain = msgspec.to_builtins(config, enc_hook=float)
        again = msgspec.convert(plain, Config, dec_hook=lambda kind, value: kind(value))
        assert repr(again) == repr(config)


@quick
@given(text=mutated())
def test_a_mutated_example_is_a_config_or_a_config_error(tmp_path: Path, text: str) -> None:
    check_any(tmp_path, text)


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=8)
    | st.sampled_from(["30s", "claude", "~"]),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(
            st.sampled_from(re.findall(r"^[ -]*([a-z_]+):", EXAMPLE, re.MULTILINE)) | st.text(max_size=5),
            inner,
            max_size=6,
        )
    ),
    max_leaves=30,
)


@quick
@given(data=JSON)
def test_any_values_are_a_config_or_a_config_error(tmp_path: Path, data: object) -> None:
    check_any(tmp_path, yaml.safe_dump(data, allow_unicode=True))


@quick
@given(text=st.text() | st.text("ab:-[]{}&*!|>'\"%@#\n \t?,<~0", max_size=60))
@example("%TAG ! x\n")
@example("\ufeff")
@example("a: |\n  x\n y")
def test_any_text_is_a_config_or_a_config_error(tmp_path: Path, text: str) -> None:
    check_any(tmp_path, text)
