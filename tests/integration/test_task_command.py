"""`failoverctl task`, as a user of a shell runs it."""

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from failover_oneshot.ctl.demo.sandbox import CTL
from failover_oneshot.ctl.demo.server import environment
from tests.support.paths import ROOT


class Shell:
    """A config with a spool and nothing else; no command here needs tmux."""

    def __init__(self, folder: Path) -> None:
        self.spool, self.config = folder / "spool", folder / "failover.yaml"
        self.folder = folder
        self.config.write_text(f"dispatch: {{spool: {self.spool}}}\n")

    def run(self, *argv: str, text: str | bytes = "", code: int = 0) -> subprocess.CompletedProcess[bytes]:
        done = subprocess.run(
            [*CTL, "task", argv[0], "--config", str(self.config), *argv[1:]],
            env=environment(self.folder),
            input=text if isinstance(text, bytes) else text.encode(), capture_output=True, check=False,
        )  # fmt: skip
        assert done.returncode == code, (done.stdout, done.stderr)
        assert b"Traceback" not in done.stderr
        return done

    def facts(self, *argv: str, text: str | bytes = "") -> dict[str, Any]:
        value: dict[str, Any] = json.loads(self.run(*argv, "--json", text=text).stdout)
        return value

    def add(self, text: str, *argv: str) -> str:
        return str(self.facts("add", "-", *argv, text=text)["task"])

    def put(self, state: str, name: str, text: str = "do") -> None:
        (self.spool / state).mkdir(parents=True, exist_ok=True)
        (self.spool / state / name).write_text(text)


@pytest.fixture
def shell(tmp_path: Path) -> Shell:
    return Shell(tmp_path)


def test_add_keeps_every_byte_and_is_private(shell: Shell) -> None:
    text = "first\n  'second' $(x) #{y}\n"
    name = shell.add(text, "--priority", "3", "--dir", str(shell.folder))
    file = shell.spool / "queue" / name
    assert file.read_text() == text
    assert [p.stat().st_mode & 0o777 for p in (file, shell.spool, shell.spool / "queue")] == [0o600, 0o700, 0o700]
    assert sorted(p.name for p in (shell.spool / "queue").iterdir()) == [name, f"{name}.task.json"]
    shown = shell.facts("show", name[:-2])
    assert (shown["state"], shown["text"], shown["priority"]) == ("queue", text, 3)
    assert shown["dir"] == str(shell.folder)
    assert text in shell.run("show", name).stdout.decode()


def test_a_file_is_added_and_the_queue_is_listed_by_rank(shell: Shell) -> None:
    (shell.folder / "prompt.md").write_text("from a file")
    first = shell.run("add", str(shell.folder / "prompt.md")).stdout.decode().strip()
    second, urgent = shell.add("second"), shell.add("urgent", "--priority", "1")
    assert [row["task"] for row in shell.facts("list")["tasks"]] == [urgent, first, second]
    lines = shell.run("list").stdout.decode().splitlines()
    assert [line.split()[0] for line in lines] == ["queue"] * 3
    assert "from a file" in lines[1]


def test_a_task_is_canceled_and_retried(shell: Shell) -> None:
    name = shell.add("do")
    assert b"canceled by the operator" in shell.run("cancel", name).stdout
    assert shell.facts("show", name)["state"] == "failed"
    assert b"canceled" in shell.run("list").stdout
    assert b"already" in shell.run("cancel", name, code=1).stderr
    shell.run("retry", name)
    shown = shell.facts("show", name)
    assert (shown["state"], shown["attempts"], shown["why"]) == ("queue", 0, "")
    assert [entry["event"] for entry in shown["history"]] == ["cancelled", "retried"]
    assert b"only failed and done tasks" in shell.run("retry", name, code=1).stderr


def test_a_retried_task_never_replaces_another_of_its_name(shell: Shell) -> None:
    shell.put("failed", "fix", "old")
    shell.put("queue", "fix", "new")
    assert shell.facts("retry", "fix")["task"] == "fix.2"
    assert (shell.spool / "queue" / "fix").read_text() == "new"
    assert (shell.spool / "queue" / "fix.2").read_text() == "old"


def test_done_tasks_are_listed_with_all(shell: Shell) -> None:
    shell.put("done", "old")
    assert shell.run("list").stdout == b"no tasks\n"
    assert b"done    old" in shell.run("list", "--all").stdout


@pytest.mark.parametrize(
    ("argv", "text", "code", "why"),
    [
        (["add"], b"", 1, "the text is empty"),
        (["add"], b"a\0b", 1, "NUL"),
        (["add"], b"x" * ((1 << 20) + 1), 1, "larger than 1 MiB"),
        (["add", "/nonexistent/file"], b"", 1, "cannot read /nonexistent/file: No such file"),
        (["add", "--dir", "/nonexistent"], b"do", 1, "is not a folder"),
        (["show", "none"], b"", 2, "no task named 'none'"),
        (["cancel", "fix"], b"", 2, "'fix' matches queue/fix-a, queue/fix-b"),
        (["nonsense"], b"", 2, "unknown command 'nonsense'"),
    ],
)
def test_an_error_is_one_sentence(shell: Shell, argv: list[str], text: bytes, code: int, why: str) -> None:
    shell.put("queue", "fix-a")
    shell.put("queue", "fix-b")
    assert why in shell.run(*argv, text=text, code=code).stderr.decode()
    assert len(list((shell.spool / "queue").iterdir())) == 2


def test_options_are_accepted_before_the_subcommand(shell: Shell) -> None:
    argv = [*CTL, "task", "--config", str(shell.config), "--json", "list"]
    done = subprocess.run([*argv, "--state", "/nowhere"], cwd=ROOT, capture_output=True, check=True)
    assert json.loads(done.stdout) == {"version": 1, "tasks": []}


def test_without_a_spool_the_error_names_the_config_key(shell: Shell) -> None:
    shell.config.write_text("{}\n")
    assert b"dispatch.spool is not set" in shell.run("list", code=78).stderr


def test_one_of_two_concurrent_cancels_wins(shell: Shell) -> None:
    """The other one fails; the task is there once."""
    name = shell.add("do")
    argv = [*CTL, "task", "cancel", "--config", str(shell.config), name]
    both = [subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd=ROOT) for _ in range(2)]
    assert sorted(process.wait(60) for process in both)[0] == 0
    for process in both:
        process.communicate()
    assert [p.parent.name for p in shell.spool.glob(f"*/{name}*") if not p.name.endswith(".json")] == ["failed"]
