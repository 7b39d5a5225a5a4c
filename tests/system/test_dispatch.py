"""Dispatch of tasks to idle sessions: the real program with fake agents on a private tmux server."""

import json
import os
from pathlib import Path

import pytest

from failover_oneshot.ctl.demo.sandbox import CTL
from tests.support.agent_pool import AgentPool
from tests.support.tmux_server import Server


@pytest.fixture
def pool(server: Server, tmp_path: Path) -> AgentPool:
    return AgentPool(server, tmp_path)


def test_a_task_goes_to_an_idle_session_and_is_done(pool: AgentPool) -> None:
    pool.up()
    pool.drop("fix", "please fix the parser")
    report = pool.check()
    assert [(a["action"], a["task"], a["session"], a["status"]) for a in report["actions"]] == [
        ("hand_out", "fix", "ccl-auto-11", "done")
    ]
    assert pool.where("fix") == ["running"]
    assert report["tasks"] == {"waiting": 0, "running": 1, "failed": 0}
    pool.until_done("fix")
    assert pool.agents.prompts() == ["please fix the parser"]
    record = pool.record("done", "fix")
    assert (record["session"], record["attempts"]) == ("ccl-auto-11", 1)
    assert pool.where("fix") == ["done"]


HOSTILE = {
    "long": "".join(f"line {n}: the quick brown fox\n" for n in range(3500)),
    "lines": "first\n\n\tsecond  \n   third\n",
    "quotes": """it's "quoted" `too` \\ \\n ' " ”""",
    "tmux": "a ; b \\; kill-server ; #{pane_id} #(touch x) %1 =name:",
    "shell": "$(touch /x) ${HOME} `id` && rm -rf / | tee > y",
    "emoji": "🚀 naïve 👩‍👩‍👧 世界 é",
    "keys": "C-c",
    "enter": "Enter",
    "option": "-l --help",
    "slash": "/clear is not meant",
    "hint": 'Try "refactor the parser"',
    "glyphs": "❯ 1. Yes\n● done\n────────\n",
}


def test_hostile_texts_arrive_byte_for_byte(server: Server, tmp_path: Path) -> None:
    pool = AgentPool(server, tmp_path, size=4)
    pool.up()
    for name, text in HOSTILE.items():
        pool.drop(name, text)
    pool.until_done(*HOSTILE)
    assert sorted(pool.agents.prompts()) == sorted(HOSTILE.values())
    assert not list(server.home.glob("x")), "a task was run as a command"
    assert server.tmux("list-buffers") == ""
    assert not (pool.spool / ".paste").exists()


def test_control_characters_are_removed(pool: AgentPool) -> None:
    """So a task cannot end the bracketed paste, press a key or control the terminal."""
    pool.up()
    pool.drop("bad", "one\x1b[201~\x03two\r\nthree\rfour\x7f\x9b31m\tfive\x00".replace("\x00", ""))
    pool.until_done("bad")
    assert pool.agents.prompts() == ["one[201~two\nthree\nfour31m\tfive"]


@pytest.mark.parametrize(
    ("kind", "why"),
    [
        ("binary", "NUL bytes"),
        ("latin", "not valid UTF-8 (byte 1)"),
        ("blank", "the text is empty"),
        ("huge", "larger than 1 MiB"),
        ("link", "symbolic link"),
        ("folder", "not a regular file"),
        ("pipe", "not a regular file"),
        ("stranger", "belongs to another user"),
    ],
)
def test_an_invalid_task_goes_to_failed_unchanged(pool: AgentPool, kind: str, why: str) -> None:
    pool.up()
    content = {"binary": b"a\0b", "latin": b"a\xff", "blank": b" \n", "huge": b"x" * (1 << 20) + b"y"}.get(kind, b"do")
    elsewhere = pool.drop(kind, content)
    if kind in {"link", "folder", "pipe"}:
        elsewhere.unlink()
    if kind == "link":
        (tmp := pool.spool / "elsewhere").write_text("secret")
        elsewhere.symlink_to(tmp)
    elif kind == "folder":
        elsewhere.mkdir()
    elif kind == "pipe":
        os.mkfifo(elsewhere)
    elif kind == "stranger":
        if os.geteuid() != 0:
            pytest.skip("only root can give a file away")
        os.chown(elsewhere, 12345, 12345)
    done = pool.run()
    assert done.returncode == 0
    told = [line for line in done.stderr.splitlines() if kind in line]
    assert len(told) == 1
    assert why in told[0]
    assert pool.where(kind) == ["failed"]
    assert why in pool.record("failed", kind)["why"]
    assert pool.agents.prompts() == []
    assert not pool.run().stderr, "it is reported once"


@pytest.mark.parametrize("kind", ["link", "file", "open"])
def test_an_untrusted_queue_dispatches_nothing(pool: AgentPool, kind: str) -> None:
    pool.up()
    pool.drop("fix", "fix it")
    real = pool.spool.with_name("real")
    if kind == "open":
        pool.spool.chmod(0o777)
    else:
        pool.spool.rename(real)
    if kind == "link":
        pool.spool.symlink_to(real)
    elif kind == "file":
        pool.spool.write_text("")
    done = pool.run()
    assert done.returncode == 0
    assert [line for line in done.stderr.splitlines() if "no tasks dispatched" in line]
    assert pool.agents.prompts() == []
    assert (real if kind != "open" else pool.spool).joinpath("queue", "fix").read_text() == "fix it"


def test_names_of_other_files_and_unusual_names_of_tasks(pool: AgentPool) -> None:
    pool.up()
    odd = "-rf 'x' ü\n\x1b[31m" + "n" * 180
    for name in (".hidden", "draft~", "half.part", "half.tmp", odd):
        pool.drop(name, f"text of {name!r}")
    done = pool.run("--json")
    assert json.loads(done.stdout)["tasks"] == {"waiting": 4 - 4, "running": 1, "failed": 0}
    assert "\x1b" not in done.stdout + done.stderr
    pool.until_done(odd)
    assert pool.agents.prompts() == [f"text of {odd!r}"]


def test_the_oldest_first_and_one_for_each_session(pool: AgentPool) -> None:
    pool.up()
    for age, name in enumerate(["young", "middle", "old", "ancient"]):
        os.utime(pool.drop(name, name), (1_000_000_000 - age, 1_000_000_000 - age))
    report = pool.check()
    assert {(a["task"], a["session"]) for a in report["actions"]} == {
        ("ancient", "ccl-auto-11"),
        ("old", "ccl-auto-12"),
    }
    assert pool.tasks("queue") == ["middle", "young"]


def test_a_dry_run_reports_the_same_and_changes_nothing(pool: AgentPool) -> None:
    pool.up()
    pool.drop("one", "one")
    pool.check()
    pool.ready(*pool.names)
    pool.drop("two", "two")
    pool.drop("binary", b"\0")
    before = pool.fingerprint()
    dry = pool.check("--dry-run")
    after = pool.fingerprint()
    assert {p for p in before if before[p] != after[p]} == set()
    real = pool.check()
    assert [(a["action"], a["task"], a["session"]) for a in dry["actions"]] == [
        (a["action"], a["task"], a["session"]) for a in real["actions"]
    ]
    assert {a["action"] for a in real["actions"]} == {"finish", "hand_out", "fail"}


def test_only_the_range_gets_tasks(pool: AgentPool) -> None:
    """Neighbors and dedicated sessions show the same empty prompt."""
    others = ("ccl-0", "ccl-auto-1", "ccl-auto-10", "ccl-auto-13", "ccl-auto-110", "ops")
    pool.config["pool"]["autonomous"]["min"] = 0
    pool.config["pool"]["dedicated"] = [{"name": "ops"}]
    for name in others:
        pool.server.start(name, pool.command)
    pool.ready(*others)
    pool.drop("fix", "fix it")
    report = pool.check()
    assert (report["actions"], report["pool"]["free"]) == ([], 0)
    assert pool.tasks("queue") == ["fix"]


@pytest.mark.parametrize("why", ["paused", "suspected"])
def test_nothing_is_dispatched_while_paused_or_suspected(pool: AgentPool, why: str) -> None:
    pool.config["pool"]["dedicated"] = [{"name": "ops"}]
    pool.up()
    pool.drop("fix", "fix it")
    if why == "paused":
        pool.set_state(paused={"since": "2026-01-01T00:00:00Z", "until": None, "reason": None})
    else:
        pool.server.show("ops", "error: usage limit reached")
    report = pool.check()
    assert (report["outcome"], report["actions"], pool.tasks("queue")) == (why, [], ["fix"])


def test_the_counts_are_in_the_summary_the_state_and_the_status(pool: AgentPool) -> None:
    pool.up()
    for name in ("one", "two", "three"):
        pool.drop(name, name)
    said = pool.run().stdout
    assert said.endswith("; 2 tasks dispatched; tasks: 1 queued, 2 running, 0 failed\n")
    last = pool.state()["last_check"]
    assert last["pool"] == {"free": 0, "busy": 2, "blocked": 0, "dead": 0, "held": 0}
    assert last["tasks"] == {"waiting": 1, "running": 2, "failed": 0}
    status = pool.execute([*CTL, "status", *pool.flags()])
    assert "2 busy, at the last check" in status.stdout
    assert "1 queued, 2 running" in status.stdout
