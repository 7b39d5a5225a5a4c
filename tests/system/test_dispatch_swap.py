"""Tasks whose sessions a swap restarts, or whose agents die, with and without the agents' records."""

import json
import os
import signal
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from tests.support.agent_pool import AgentPool
from tests.support.polling import poll
from tests.support.tmux_server import Server


def started(
    server: Server, folder: Path, *, records: bool = True, work: float = 0.0, **autonomous: object
) -> AgentPool:
    """Two sessions on an exhausted account, each at work on one task."""
    pool = AgentPool(server, folder, records=records, work=work)
    pool.config["pool"]["autonomous"].update(autonomous)
    pool.config["quota"] = {"reactivate_cooldown": "0s"}
    pool.up()
    return pool


def exhausted(pool: AgentPool) -> None:
    """Dispatch both tasks, and wait until both hit the limit."""
    pool.agents.exhaust(main=datetime.now(UTC) + timedelta(hours=2))
    for name in ("one", "two"):
        pool.drop(name, f"text of {name}")
    assert len(pool.check()["actions"]) == 2
    poll(lambda: [m["result"] for m in pool.agents.messages()] == ["hit", "hit"])


def replies(pool: AgentPool) -> list[tuple[str, str]]:
    return sorted((m["prompt"], m["account"]) for m in pool.agents.messages() if m["result"] == "reply")


@pytest.mark.parametrize("records", [True, False])
@pytest.mark.parametrize("mode", ["recreate", "respawn"])
def test_a_swap_requeues_the_tasks_of_restarted_sessions(
    server: Server, tmp_path: Path, mode: str, records: bool
) -> None:
    pool = started(server, tmp_path, records=records, after_swap=mode)
    exhausted(pool)
    pool.drop("later", "text of later")
    dry = pool.check("--dry-run")
    report = pool.check()
    assert report["outcome"] == "swapped"
    assert [(a["action"], a["session"]) for a in dry["actions"]] == [
        (a["action"], a["session"]) for a in report["actions"]
    ]
    # with records, the check waits for what the new agents record
    assert (pool.tasks("running"), pool.tasks("queue")) == (
        (["one", "two"], ["later"]) if records else ([], ["later", "one", "two"])
    )
    poll(lambda: pool.check() and len(pool.tasks("done")) >= 2, seconds=60)
    assert "later" not in pool.tasks("done"), "requeued tasks come first"
    pool.until_done("one", "two", "later")
    assert replies(pool) == [(f"text of {name}", "backup") for name in ("later", "one", "two")]
    events = [entry["event"] for entry in pool.record("done", "one")["history"]]
    assert events == ["requeued", "done"]
    assert pool.record("done", "one")["attempts"] == 1, "a swap is not a failed attempt"


def test_a_session_that_resumes_its_conversation_keeps_its_task(server: Server, tmp_path: Path) -> None:
    pool = AgentPool(server, tmp_path)
    pool.config["pool"]["autonomous"]["resume_command"] = pool.command + " --resume {session_id} continue"
    pool.up()
    exhausted(pool)
    assert pool.check()["outcome"] == "swapped"
    pool.until_done("one", "two")
    assert replies(pool) == [("continue", "backup")] * 2
    record = pool.record("done", "one")
    assert (record["attempts"], [entry["event"] for entry in record["history"]]) == (1, ["done"])


def test_a_nudged_session_keeps_its_task(server: Server, tmp_path: Path) -> None:
    pool = started(server, tmp_path, after_swap="nudge")
    exhausted(pool)
    assert pool.check()["outcome"] == "swapped"
    pool.until_done("one", "two")
    assert replies(pool) == [("continue", "backup")] * 2
    assert pool.record("done", "one")["attempts"] == 1


def kill_agent(pool: AgentPool, name: str) -> None:
    pid = pool.server.row(name).pane.pid
    os.kill(pid, signal.SIGKILL)
    poll(lambda: name not in pool.server.names())


def test_a_task_whose_agent_died_at_work_is_dispatched_again(server: Server, tmp_path: Path) -> None:
    pool = started(server, tmp_path, work=600.0)
    pool.drop("one", "text")
    pool.check()
    kill_agent(pool, "ccl-auto-11")
    report = pool.check()
    assert [(a["action"], a["session"]) for a in report["actions"]] == [
        ("create", "ccl-auto-11"), ("requeue", "ccl-auto-11"), ("hand_out", "ccl-auto-12"),
    ]  # fmt: skip
    for name in ("ccl-auto-12", "ccl-auto-11"):
        pool.ready(*pool.names)
        kill_agent(pool, name)
        pool.check()
        pool.ready(*pool.names)
        pool.check()
    assert pool.tasks("failed") == ["one"]
    assert "gave up after 3 attempts" in pool.record("failed", "one")["why"]


def test_a_task_that_was_done_before_its_agent_died_is_done(server: Server, tmp_path: Path) -> None:
    pool = started(server, tmp_path)
    pool.drop("one", "text")
    pool.check()
    poll(lambda: pool.agents.prompts() == ["text"])
    kill_agent(pool, "ccl-auto-11")
    pool.check()
    assert pool.tasks("done") == ["one"]


def test_without_records_an_unfinished_task_is_not_done_twice(server: Server, tmp_path: Path) -> None:
    pool = started(server, tmp_path, records=False, work=600.0)
    pool.drop("one", "text")
    pool.check()
    kill_agent(pool, "ccl-auto-11")
    pool.check()
    assert pool.tasks("failed") == ["one"]
    assert "unknown whether the task was done" in pool.record("failed", "one")["why"]


def test_a_task_that_takes_too_long_fails_and_its_session_goes_on(server: Server, tmp_path: Path) -> None:
    pool = started(server, tmp_path, work=600.0)
    pool.drop("one", "text")
    pool.check()
    pid = pool.server.row("ccl-auto-11").pane.pid
    pool.config["dispatch"]["timeout"] = "1s"
    pool.save_config()
    record = pool.spool / "running" / "one.task.json"
    facts = json.loads(record.read_bytes())
    record.write_text(json.dumps({**facts, "handed_out_at": "2026-01-01T00:00:00Z"}))
    pool.check()
    assert pool.tasks("failed") == ["one"]
    assert "not done within 1s" in pool.record("failed", "one")["why"]
    assert pool.server.row("ccl-auto-11").pane.pid == pid


@pytest.mark.parametrize("why", ["draft", "shell", "copy-mode"])
def test_a_session_that_is_not_idle_gets_no_task(server: Server, tmp_path: Path, why: str) -> None:
    pool = AgentPool(server, tmp_path, size=1)
    pool.up()
    if why == "draft":
        server.tmux("send-keys", "-t", "=ccl-auto-11:", "-l", "my own words")
        poll(lambda: "my own words" in pool.server.screen("ccl-auto-11"))
    elif why == "shell":
        server.tmux("split-window", "-t", "=ccl-auto-11:", "exec sh -i")
        server.tmux("kill-pane", "-t", "=ccl-auto-11:.0")
        pool.config["pool"]["autonomous"]["min"] = 0
        pool.save_config()
    else:
        server.tmux("copy-mode", "-t", "=ccl-auto-11:")
    pool.drop("one", "text")
    report = pool.check()
    assert (report["actions"], pool.tasks("queue")) == ([], ["one"])
    assert report["pool"]["free"] == 0
    assert pool.agents.prompts() == []


def test_a_task_that_does_not_arrive_stays_queued_and_is_reported(server: Server, tmp_path: Path) -> None:
    """The program shows an empty prompt and reads no input; Enter is never pressed."""
    pool = AgentPool(server, tmp_path, size=1)
    got, shown = tmp_path / "got", tmp_path / "shown"
    rule = "─" * 80
    shown.write_text(f"● Done.\n\n{rule}\n❯ \n{rule}\n  ⏵⏵ auto mode on")
    server.start("ccl-auto-11", f"stty raw opost -echo; printf '\\033[?2004h'; cat {shown}; exec cat > {got}")
    poll(lambda: "auto mode" in pool.server.screen("ccl-auto-11") and got.exists())
    pool.drop("one", "text\nof two lines")
    report = pool.check()
    assert [(a["action"], a["status"]) for a in report["actions"]] == [("hand_out", "failed")]
    assert pool.tasks("queue") == ["one"]
    assert "did not arrive" in pool.state()["sessions"]["ccl-auto-11"]["held"]["reason"]
    assert got.read_bytes() == b"\x1b[200~text\nof two lines\x1b[201~"
    assert pool.check()["actions"] == [], "not tried again at once"


def test_an_agent_that_is_a_shell_script_is_not_a_shell(server: Server, tmp_path: Path) -> None:
    """An agent without records, without a box and without bracketed paste gets a task of one line."""
    pool = AgentPool(server, tmp_path, size=1)
    agent, got = tmp_path / "agent.sh", tmp_path / "got"
    agent.write_text(f"""printf '● Hello.\\n\\n❯ '
while read -r line; do echo "$line" >> {got}; printf '\\n● I work on it.\\n\\n❯ '; done
""")
    pool.config["pool"]["autonomous"]["command"] = f"sh {agent}"
    pool.check()
    poll(lambda: "❯" in pool.server.screen("ccl-auto-11"))
    pool.drop("one", "do 'it' $(now)")
    pool.until_done("one")
    assert got.read_text() == "do 'it' $(now)\n"
