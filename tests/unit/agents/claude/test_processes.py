"""The Claude Code process of each pane, with real files and real processes."""

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from failover_oneshot.agents.claude.agent import Claude
from failover_oneshot.agents.claude.processes import clients_of, find_clients
from failover_oneshot.lib import procfs
from failover_oneshot.model import AgentProcess, Kind
from tests.support.polling import poll
from tests.support.records import CWD, SESSION, announce, hit, prompt, write


class Family:
    """A real process with a real child, like a pane's shell and its agent."""

    def __init__(self) -> None:
        script = "sleep 600 & echo $!; wait"
        self.shell = subprocess.Popen(["sh", "-c", script], stdout=subprocess.PIPE, text=True)
        assert self.shell.stdout
        self.child = int(self.shell.stdout.readline())

    def end(self) -> None:
        for pid in (self.child, self.shell.pid):
            os.kill(pid, 9)
        self.shell.wait()
        assert self.shell.stdout
        self.shell.stdout.close()


@pytest.fixture
def family() -> Iterator[Family]:
    made = Family()
    yield made
    made.end()


def test_a_panes_agent_is_its_process_or_a_descendant(tmp_path: Path, family: Family) -> None:
    announce(tmp_path, family.child)
    clients = find_clients(tmp_path)
    expected = AgentProcess(pid=family.child, session_id=SESSION, cwd=CWD, status="idle")
    assert clients == {family.child: expected}
    for pid in (family.shell.pid, family.child, os.getpid()):
        assert clients_of([pid, 1, 2**22 + 5], clients) == {pid: expected}


def test_of_an_agent_and_its_child_the_pane_has_the_outer_one(tmp_path: Path, family: Family) -> None:
    """An agent may run Claude Code in print mode."""
    for pid in (family.child, family.shell.pid):
        announce(tmp_path, pid)
    owners = clients_of([family.shell.pid], find_clients(tmp_path))
    assert owners[family.shell.pid].pid == family.shell.pid


def test_of_two_agents_the_pane_has_the_one_in_the_foreground(tmp_path: Path) -> None:
    """A suspended one still exists. A program's name may contain any characters."""
    for pid, parent, group in ((10, 1, 10), (11, 10, 11), (12, 10, 12)):
        folder = tmp_path / "proc" / str(pid)
        folder.mkdir(parents=True)
        rest = " ".join(["0"] * 13)
        (folder / "stat").write_text(f"{pid} (a ) S 9 (b) S {parent} {group} 10 34816 12 {rest} 77{pid} 0 0\n")
    clients = {pid: AgentProcess(pid=pid, session_id=SESSION, cwd=CWD) for pid in (11, 12)}
    assert clients_of([10], clients, tmp_path / "proc") == {10: clients[12]}


def test_a_file_of_another_process_is_skipped(tmp_path: Path, family: Family) -> None:
    """The process id may be reused. Older versions do not record when they started."""
    announce(tmp_path, family.child, procStart="1")
    assert find_clients(tmp_path) == {}
    announce(tmp_path, family.child, procStart=None)
    assert len(find_clients(tmp_path)) == 1


def test_an_agent_that_has_ended_is_skipped(tmp_path: Path) -> None:
    made = Family()
    announce(tmp_path, made.shell.pid)
    os.kill(made.child, 9)
    os.kill(made.shell.pid, 9)
    poll(lambda: procfs.ended(made.shell.pid))
    assert find_clients(tmp_path) == {}, "a zombie does not count"
    made.shell.wait()
    assert made.shell.stdout
    made.shell.stdout.close()
    assert find_clients(tmp_path) == {}


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{",
        b"[]",
        b"null",
        b"{}",
        b'{"pid": "PID", "sessionId": "a", "cwd": "/"}',
        b'{"pid": PID, "sessionId": 7, "cwd": "/"}',
        b'{"pid": PID, "sessionId": "a", "cwd": null}',
        b'{"pid": PID, "sessionId": "../a", "cwd": "/"}',
        b'{"pid": PID, "sessionId": "", "cwd": "/"}',
        b'{"pid": 1, "sessionId": "a", "cwd": "/"}',
        b'{"pid": PID, "sessionId": "a", "cwd": "/", "procStart": {}, "status": ' + b"[" * 20_000,
        b"\n" * 70_000 + b'{"pid": PID, "sessionId": "a", "cwd": "/"}',
        b'{"pid": PID, "sessionId": "\xff", "cwd": "/"}',
    ],
    ids=lambda content: content[:50],
)
def test_malformed_process_files_are_skipped(tmp_path: Path, family: Family, content: bytes) -> None:
    path = announce(tmp_path, family.child)
    path.write_bytes(content.replace(b"PID", str(family.child).encode()))
    assert find_clients(tmp_path) == {}


def test_other_files_in_the_folder_are_skipped(tmp_path: Path, family: Family) -> None:
    assert find_clients(tmp_path) == {}, "no folder at all"
    path = announce(tmp_path, family.child)
    announce(tmp_path, os.getpid(), status=["odd"])
    real = path.rename(tmp_path / "real.json")
    path.symlink_to(real)
    (path.parent / f"{family.child}.abc.key").write_text("x")
    (path.parent / "٣.json").write_text("{}")
    (path.parent / "99999999999999999999.json").write_text("{}")
    os.mkfifo(path.parent / "1.json")
    (path.parent / f"{family.shell.pid}.json").mkdir()
    assert find_clients(tmp_path) == {os.getpid(): AgentProcess(pid=os.getpid(), session_id=SESSION, cwd=CWD)}


def test_an_agent_is_found_with_its_pane_and_records(tmp_path: Path, family: Family) -> None:
    announce(tmp_path, family.child, status="busy")
    panes = {"%1": family.shell.pid, "%2": 1}
    client = AgentProcess(pid=family.child, session_id=SESSION, cwd=CWD, status="busy")
    agent = Claude(str(tmp_path))
    assert agent.processes(panes) == {"%1": client}
    assert agent.record(client) is None
    conversation = Path(agent.conversation(client))
    conversation.parent.mkdir(parents=True)
    write(conversation, prompt(1), hit(2))
    reading = agent.record(client)
    assert reading is not None
    assert (reading.kind, reading.busy) == (Kind.QUOTA, True)
    assert conversation.read_text().count("\n") == 2, "the agent only reads"
