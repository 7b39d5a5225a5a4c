"""The lock file is removed while a check holds it: that check stops with exit 75, and the next one goes on."""

import json
import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.support.agent_pool import AgentPool
from tests.support.polling import poll
from tests.support.sandbox import POOL, Sandbox
from tests.support.tmux_server import Server

STOPS = {
    "listed": ("list-panes", 1),
    "observed": ("capture-pane", 1),
    "planned": ("list-panes", 2),
    "at the first session": ("list-panes", 3),
    "at the second session": ("list-panes", 4),
    "at the third session": ("list-panes", 5),
    "restarted": ("list-panes", 6),
}
"""Where a check that swaps is stopped: after tmux's n-th answer to that command."""


def lock_of(sandbox: Sandbox) -> Path:
    return sandbox.state_file.with_name("state.json.lock")


class Stopped:
    """A check that waits at a named pipe until it is released."""

    def __init__(self, sandbox: Sandbox) -> None:
        self.sandbox = sandbox
        self.pipe, self.reached = sandbox.server.folder / "pipe", sandbox.server.folder / "reached"
        os.mkfifo(self.pipe)
        self.wait = f": > {self.reached}; read line < {self.pipe}"
        """Shell commands that wait at the pipe."""

    @contextmanager
    def running(self, **environ: str) -> Iterator[None]:
        """Start the check and wait until it has stopped. It is released at the end of the block, and must exit 75."""
        self.sandbox.save_config()
        process = subprocess.Popen(
            self.sandbox.argv("--json"), env=self.sandbox.environ(**environ), stderr=subprocess.PIPE, text=True
        )
        with process:
            poll(self.reached.exists)
            yield
            before = self.sandbox.fingerprint()
            self.pipe.write_text("go\n")
            error = process.communicate(timeout=self.sandbox.server.patience)[1]
        assert process.returncode == 75, error
        assert error.splitlines()[-1] == (
            f"WARNING: lost the lock {lock_of(self.sandbox)}: the file was removed or replaced while it was held; "
            "trying again at the next check"
        )
        assert self.sandbox.fingerprint() == before


@pytest.fixture
def stopped(sandbox: Sandbox) -> Stopped:
    return Stopped(sandbox)


def stop_at(stopped: Stopped, command: str, number: int = 1) -> dict[str, str]:
    """The environment of the check that stops after tmux's n-th answer to the command; other checks do not stop."""
    count = stopped.sandbox.server.folder / "answers"
    stopped.sandbox.config["tmux"]["binary"] = stopped.sandbox.server.write_wrapper(
        f'case "$STOP $*" in yes*{command}*) ;; *) exec "$tmux" "$@";; esac\n'
        f'"$tmux" "$@"; code=$?; echo x >> {count}\n'
        f'if [ "$(wc -l < {count})" -eq {number} ]; then {stopped.wait}; fi; exit $code'
    )
    return {"STOP": "yes"}


def lose(sandbox: Sandbox, how: str) -> None:
    """Remove the lock file, or put another file in its place."""
    if how == "removed":
        lock_of(sandbox).unlink()
    else:
        other = sandbox.folder / "other"
        other.touch()
        other.rename(lock_of(sandbox))


def count_starts(sandbox: Sandbox) -> Path:
    """Restarted sessions write their names into this file."""
    starts = sandbox.folder / "starts"
    sandbox.config["pool"]["autonomous"]["command"] = f"echo {{name}} >> {starts}; exec sleep 600"
    return starts


def started(starts: Path) -> list[str]:
    poll(lambda: len(starts.read_text().splitlines()) >= len(POOL))
    return sorted(starts.read_text().splitlines())


@pytest.mark.parametrize("mode", ["recreate", "respawn"])
@pytest.mark.parametrize("stop", STOPS.values(), ids=STOPS)
def test_each_session_is_restarted_once(blocked: Sandbox, stopped: Stopped, stop: tuple[str, int], mode: str) -> None:
    blocked.config["pool"]["autonomous"]["after_swap"] = mode
    starts = count_starts(blocked)
    with stopped.running(**stop_at(stopped, *stop)):
        lose(blocked, "removed" if mode == "recreate" else "replaced")
        report = blocked.check()
        assert report["outcome"] == "swapped"
        assert started(starts) == list(POOL)
    assert blocked.check()["outcome"] == "cooldown"
    assert started(starts) == list(POOL)
    assert [entry["outcome"] for entry in blocked.state()["history"]] == ["swapped"]
    assert (blocked.state()["active_account"], blocked.live_account()) == ("backup", "backup")


def test_a_swap_command_that_runs_meanwhile_is_waited_for(blocked: Sandbox, stopped: Stopped) -> None:
    """The second check finds the program running and gives up; the swap stays in the journal for the third."""
    starts, calls, script = count_starts(blocked), blocked.folder / "calls", blocked.folder / "switch"
    script.write_text(f'#!/bin/sh\necho "$1 $2" >> {calls}\n[ -e {stopped.reached} ] || {{ {stopped.wait}; }}\n')
    script.chmod(0o755)
    blocked.config["swap"] = {"method": "command", "command": [str(script), "{from}", "{to}"], "timeout": "2m"}
    blocked.config["accounts"] = [{"name": name} for name in ("main", "backup", "spare")]
    blocked.set_state(active_account="main")
    with stopped.running():
        blocked.config["swap"]["timeout"] = "10ms"
        blocked.save_config()
        lose(blocked, "removed")
        report = blocked.check(code=1)
        assert report["reason"].endswith(
            "swap.command of an earlier check is still running; trying again at the next check"
        )
    blocked.config["swap"]["timeout"] = "2m"
    blocked.save_config()
    assert blocked.check()["swap"] == {"from": "main", "to": "backup"}
    assert calls.read_text().splitlines() == ["main backup"] * 2
    assert started(starts) == list(POOL)
    assert [entry["outcome"] for entry in blocked.state()["history"]] == ["swapped"]


@pytest.mark.parametrize("number", [1, 2], ids=["planned", "at the first session"])
def test_a_session_is_created_once(sandbox: Sandbox, stopped: Stopped, number: int) -> None:
    """The stopped check has seen that sessions are missing. The other creates them, and the operator ends two."""
    sandbox.config["pool"]["autonomous"].update(min=3)
    starts = count_starts(sandbox)
    with stopped.running(**stop_at(stopped, "list-panes", number)):
        lose(sandbox, "removed")
        assert len(sandbox.check()["actions"]) == len(POOL)
        assert started(starts) == list(POOL)
        for name in POOL[1:]:
            sandbox.server.tmux("kill-session", "-t", f"={name}")
    assert started(starts) == list(POOL)


def test_a_task_is_handed_out_by_one_check(server: Server, tmp_path: Path) -> None:
    """The stopped check has seen an idle session; the other check gives a task to it."""
    pool = AgentPool(server, tmp_path, size=1, work=600)
    pool.up()
    for name in ("first", "second"):
        pool.drop(name, f"task {name}")
    stopped = Stopped(pool)
    with stopped.running(**stop_at(stopped, "capture-pane")):
        lose(pool, "removed")
        (action,) = pool.check()["actions"]
        assert (action["action"], action["task"], action["status"]) == ("hand_out", "first", "done")
        tasks = spooled(pool)
    assert spooled(pool) == tasks
    assert pool.conversations().taken == {"task first": 1}


def spooled(pool: AgentPool) -> dict[str, Any]:
    return {str(path.relative_to(pool.spool)): json.loads(path.read_bytes()) for path in pool.spool.glob("*/*.json")}
