"""Completion scripts, as real shells load them."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from failover_oneshot.ctl.commands import completion
from failover_oneshot.ctl.demo.sandbox import CTL


def said(*argv: str, **environ: str) -> str:
    env = {"PATH": os.environ["PATH"], "HOME": "/nowhere", **environ}
    return subprocess.run(argv, env=env, capture_output=True, text=True, check=True, timeout=60).stdout


@pytest.mark.parametrize("program", completion.PROGRAMS)
@pytest.mark.parametrize("shell", completion.SHELLS)
def test_each_shell_loads_its_completion(program: str, shell: str, tmp_path: Path) -> None:
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
    """The function is called as bash calls it, with the same words."""
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
