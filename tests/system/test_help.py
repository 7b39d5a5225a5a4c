"""What the programs say of themselves: help, man pages, shell completion; and what failover-check must not import."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from failover_oneshot.ctl import manpages
from failover_oneshot.ctl.commands import completion
from failover_oneshot.ctl.main import COMMANDS, command_line
from tests.support.paths import ROOT
from tests.support.sandbox import Sandbox

CTL = (sys.executable, "-m", "failover_oneshot.ctl")


def said(*argv: str, **environ: str) -> str:
    env = {"PATH": os.environ["PATH"], "HOME": "/nowhere", **environ}
    return subprocess.run(argv, env=env, capture_output=True, text=True, check=True, timeout=60).stdout


@pytest.mark.parametrize("command", ["", *COMMANDS])
def test_help_is_80_columns_wide(command: str) -> None:
    """On a terminal of any width."""
    for columns in ({}, {"COLUMNS": "80"}):
        text = said(*CTL, *([command] if command else []), "--help", **columns)
        assert max(map(len, text.splitlines())) <= 80, text


@pytest.mark.parametrize("program", completion.PROGRAMS)
def test_the_man_page_is_the_help(program: str) -> None:
    """Mend with: python -m failover_oneshot.ctl.manpages man"""
    text = (ROOT / "man" / f"{program}.1").read_text(encoding="utf-8")
    assert text == manpages.page(program)
    for action in completion.actions(command_line(program)):
        for option in action.option_strings if action.help != "==SUPPRESS==" else ():
            assert option in {"-h", "--help"} or option.replace("-", "\\-") in text


@pytest.mark.parametrize("program", completion.PROGRAMS)
def test_the_man_page_is_good_roff(program: str) -> None:
    groff = shutil.which("groff")
    if not groff:
        pytest.skip("groff is not installed")
    page = ROOT / "man" / f"{program}.1"
    done = subprocess.run(
        [groff, "-man", "-Tutf8", "-Kutf8", "-ww", str(page)], capture_output=True, text=True, check=True
    )
    assert done.stderr == ""
    assert "User Commands" in done.stdout


@pytest.mark.parametrize("program", completion.PROGRAMS)
@pytest.mark.parametrize("shell", completion.SHELLS)
def test_each_shell_takes_its_completion(program: str, shell: str, tmp_path: Path) -> None:
    script = said(*CTL, "completion", shell, "--program", program)
    assert program in script
    if not shutil.which(shell):
        pytest.skip(f"{shell} is not installed")
    file = tmp_path / "script"
    file.write_text(script)
    subprocess.run([shell, "-n", str(file)], check=True, capture_output=True)


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["failoverctl", "doc"], {"doctor"}),
        (["failoverctl", "completion", ""], {"bash", "zsh", "fish"}),
        (["failoverctl", "install", "--dry"], {"--dry-run"}),
    ],
)
def test_bash_completes_commands_values_and_options(words: list[str], expected: set[str], tmp_path: Path) -> None:
    """The function that bash would call, with the words as it would hand them over."""
    file = tmp_path / "completion.bash"
    file.write_text(said(*CTL, "completion", "bash"))
    line = f"""
source {file}
COMP_WORDS=({" ".join(f"'{word}'" for word in words)})
COMP_CWORD={len(words) - 1}
name=$(complete -p failoverctl | sed 's/.*-F \\([^ ]*\\).*/\\1/')
$name
printf '%s\\n' "${{COMPREPLY[@]}}"
"""
    assert expected <= {word.strip() for word in said("bash", "--norc", "-c", line).splitlines()}


def test_the_timers_check_imports_nothing_that_only_failoverctl_needs(sandbox: Sandbox) -> None:
    """A whole run, with a server and sessions, and the modules that it has at its end."""
    for name in ("ccl-auto-11", "ops"):
        sandbox.server.start(name)
    sandbox.save_config()
    arguments = ["failover-check", "--config", str(sandbox.config_file), "--state", str(sandbox.state_file)]
    program = (
        f"import sys; sys.argv = {arguments!r}; from failover_oneshot.cli import main; code = main();"
        "print(code, *sorted(sys.modules))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], env=sandbox.environ(), capture_output=True, text=True, check=True
    )
    code, *modules = done.stdout.splitlines()[-1].split()
    assert code == "0"
    assert "failover_oneshot.check" in modules
    only_ctl = {"shtab", "xml", "html", "importlib.resources", "jsonschema"}
    ours = {"ctl", "fake_agent", "config.schema", "config.errors"}
    wanted = only_ctl | {f"failover_oneshot.{name}" for name in ours}
    assert [name for name in modules if any(f"{name}.".startswith(f"{bad}.") for bad in wanted)] == []


def test_every_command_that_is_named_exists() -> None:
    """In the documentation, in what mends an error, in examples."""
    files = [*(ROOT / "docs").glob("*.md"), ROOT / "README.md", *(ROOT / "failover_oneshot").rglob("*.py")]
    command = re.compile(r"(?:^|`|\"|'|\$ |; |&& |: )failoverctl ([a-z]+)\b", re.MULTILINE)
    named = {(path.name, word) for path in files for word in command.findall(path.read_text(encoding="utf-8"))}
    assert {(file, word) for file, word in named if word not in COMMANDS} == set()
    assert {"doctor", "resume", "accounts"} <= {word for _, word in named}
