"""The command line of `failoverctl`: its help, and what it answers to a typo."""

import argparse
import sys
from collections.abc import Iterator

import pytest

from failover_oneshot import cli
from failover_oneshot.ctl.commands.completion import PROGRAMS
from failover_oneshot.ctl.main import COMMANDS, GROUPS, command_line, main


def every_command() -> list[list[str]]:
    """The words that select each command and sub-command of both programs, such as `failoverctl task add`."""

    def below(words: list[str], parser: argparse.ArgumentParser) -> Iterator[list[str]]:
        yield words
        for action in parser._actions:
            if isinstance(action, argparse._SubParsersAction):
                for name, inner in action.choices.items():
                    yield from below([*words, name], inner)

    return [words for program in PROGRAMS for words in below([program], command_line(program))]


def answer(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[object, str, str]:
    """The exit code of a command line that argparse ends, with its stdout and stderr."""
    program = cli.main if words[0] == "failover-check" else main
    with pytest.raises(SystemExit) as left:
        program(words[1:])
    said = capsys.readouterr()
    return left.value.code, said.out, said.err


@pytest.mark.parametrize("columns", [None, "80"])
@pytest.mark.parametrize("words", every_command(), ids=" ".join)
def test_every_help_fits_80_columns(
    words: list[str], columns: str | None, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """On a terminal of any width."""
    monkeypatch.setenv("COLUMNS", columns or "")
    if columns is None:
        monkeypatch.delenv("COLUMNS")
    code, text, _ = answer(capsys, *words, "--help")
    assert code == 0
    assert text.startswith(f"usage: {' '.join(words)} [-h] ")
    assert max(map(len, text.splitlines())) <= 80, text


@pytest.mark.parametrize("words", every_command(), ids=" ".join)
def test_every_help_begins_with_what_the_command_does(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    """After the usage comes one sentence, then what can be given."""
    _, text, _ = answer(capsys, *words, "--help")
    sentence = " ".join(text.split("\n\n")[1].split())
    assert len(sentence) <= 80
    assert (sentence[0].isupper(), sentence[-1]) == (True, ".")


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_an_example(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    _, text, _ = answer(capsys, "failoverctl", command, "--help")
    examples = text.partition("\nexample")[2]
    assert f"failoverctl {command}" in examples


def test_the_help_groups_the_commands_one_line_each(capsys: pytest.CaptureFixture[str]) -> None:
    code, text, _ = answer(capsys, "failoverctl", "--help")
    assert code == 0
    shown: dict[str, list[str]] = {}
    for paragraph in text.split("\n\n"):
        head, *lines = paragraph.splitlines()
        if head.endswith(":") and head[:-1] in GROUPS:
            shown[head[:-1]] = [line.split()[0] for line in lines]
    assert shown == {
        "watch": ["status", "history", "report", "explain"],
        "steer": ["swap", "pause", "resume", "reset", "task"],
        "set up": ["init", "accounts", "install", "uninstall", "doctor", "notify", "completion"],
        "try": ["demo", "replay", "simulate"],
    }
    assert shown == {name: [*commands] for name, commands in GROUPS.items()}


@pytest.mark.parametrize(
    ("words", "line"),
    [
        ("failoverctl statsu",
         "failoverctl: unknown command 'statsu'; did you mean 'status'? (failoverctl --help lists all)"),
        ("failoverctl xyzzy", "failoverctl: unknown command 'xyzzy' (failoverctl --help lists all)"),
        ("failoverctl Status",
         "failoverctl: unknown command 'Status'; did you mean 'status'? (failoverctl --help lists all)"),
        ("failoverctl task lsit",
         "failoverctl task: unknown command 'lsit'; did you mean 'list'? (failoverctl task --help lists all)"),
        ("failoverctl accounts chekc",
         "failoverctl accounts: unknown command 'chekc'; did you mean 'check'? "
         "(failoverctl accounts --help lists all)"),
        ("failoverctl completion bsh",
         "failoverctl completion: not a valid shell: 'bsh'; did you mean 'bash'? (bash, zsh, fish)"),
        ("failoverctl --verison",
         "failoverctl: unknown option '--verison'; did you mean '--version'? (failoverctl --help lists all)"),
        ("failoverctl status --jsno",
         "failoverctl status: unknown option '--jsno'; did you mean '--json'? (failoverctl status --help lists all)"),
        ("failoverctl pause --fro=2h",
         "failoverctl pause: unknown option '--fro'; did you mean '--for'? (failoverctl pause --help lists all)"),
        ("failoverctl task add --priorty 3 prompt.md",
         "failoverctl task add: unknown option '--priorty'; did you mean '--priority'? "
         "(failoverctl task add --help lists all)"),
        ("failoverctl status -Z", "failoverctl status: unknown option '-Z' (failoverctl status --help lists all)"),
        ("failoverctl status now", "failoverctl status: unexpected argument: 'now'; run `failoverctl status --help`"),
        ("failoverctl", "failoverctl: no command given; run `failoverctl --help`"),
        ("failoverctl reset",
         "failoverctl reset: the following arguments are required: NAME; run `failoverctl reset --help`"),
        ("failoverctl pause --for",
         "failoverctl pause: --for: expected one argument; run `failoverctl pause --help`"),
        ("failoverctl history -n all",
         "failoverctl history: -n/--last: not a valid number: 'all'; run `failoverctl history --help`"),
        ("failoverctl simulate --accounts none",
         "failoverctl simulate: --accounts: must be a whole number from 1 to 1000: 'none'; "
         "run `failoverctl simulate --help`"),
        ("failoverctl simulate --threshold 1,0",
         "failoverctl simulate: --threshold: must be a whole number from 1 to 1000: '0'; "
         "run `failoverctl simulate --help`"),
        ("failover-check --dryrun",
         "failover-check: unknown option '--dryrun'; did you mean '--dry-run'? (failover-check --help lists all)"),
        ("failover-check now", "failover-check: unexpected argument: 'now'; run `failover-check --help`"),
    ],
)  # fmt: skip
def test_a_wrong_command_line_is_one_line_with_the_nearest_word(
    words: str, line: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert answer(capsys, *words.split()) == (2, "", f"{line}\n")


def test_only_a_typo_loads_the_module_that_compares_words(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delitem(sys.modules, "difflib", raising=False)
    answer(capsys, "failoverctl", "swap", "--help")
    assert "difflib" not in sys.modules
    answer(capsys, "failoverctl", "swpa")
    assert "difflib" in sys.modules
