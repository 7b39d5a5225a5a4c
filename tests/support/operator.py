"""Run `failoverctl` as an operator does: in a throwaway installation, also in a real terminal (a tmux pane)."""

import json
import shlex
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from failover_oneshot.ctl.demo.sandbox import CTL
from failover_oneshot.ctl.demo.server import Run
from tests.support.polling import poll
from tests.support.sandbox import Sandbox


def stamp(**delta: float) -> str:
    """The instant at that distance from now, in the state's format."""
    return f"{datetime.now(UTC) + timedelta(**delta):%Y-%m-%dT%H:%M:%SZ}"


def environ(sandbox: Sandbox, **changes: str) -> dict[str, str]:
    """Environment variables with which programs find this installation without options, and no systemd user manager."""
    sandbox.config.setdefault("state", {"path": str(sandbox.state_file)})
    sandbox.save_config()
    return sandbox.environ(**{"FAILOVER_CONFIG": str(sandbox.config_file), **changes})


def ctl(sandbox: Sandbox, *arguments: str, stdin: str = "", **changes: str) -> Run:
    """Run one command and capture its output; a traceback fails the test."""
    done = sandbox.execute([*CTL, *arguments], stdin, **environ(sandbox, **changes))
    assert "Traceback" not in done.stderr
    return done


def facts(sandbox: Sandbox, *arguments: str, code: int = 0) -> Any:
    """The object that a command prints with --json."""
    done = ctl(sandbox, *arguments, "--json")
    assert done.returncode == code, done.stderr + done.stdout
    value = json.loads(done.stdout)
    assert value["version"] == 1
    return value


def in_pane(sandbox: Sandbox, *arguments: str, width: int, height: int = 40, **changes: str) -> str:
    """Run a command in a new session outside the range; the session's name."""
    exports = [f"{name}={value}" for name, value in environ(sandbox, TERM="screen-256color", **changes).items()]
    command = shlex.join(["env", "-i", *exports, *CTL, *arguments])
    sandbox.server.start("eyes", f"trap : INT; {command}; exec sleep 600", width=width, height=height)
    return "eyes"


def screen(sandbox: Sandbox, name: str, until: str, *flags: str) -> list[str]:
    """The lines of that session's screen, as soon as they contain `until`."""

    def shown() -> list[str]:
        text = sandbox.server.screen(name, *flags)
        return text.split("\n") if until in text else []

    return poll(shown)


STATES: dict[str, tuple[str | None, int, int]] = {
    # content of the state file, exit code of a command that reads it, exit code of one that changes it
    "none": (None, 0, 0),
    "empty": ("", 65, 65),
    "cut off": ('{"version": 1, "accounts": {"main"', 65, 65),
    "of another shape": ('{"version": 1, "accounts": []}', 65, 65),
    "newer": ('{"version": 99}', 74, 74),
}


def put_state(sandbox: Sandbox, text: str | None) -> None:
    if text is not None:
        sandbox.state_file.parent.mkdir(exist_ok=True)
        sandbox.state_file.write_text(text)


def huge() -> dict[str, Any]:
    """A state with 10,000 events of history and 500 sessions."""
    entry = {
        "outcome": "swapped",
        "from": "main",
        "to": "backup",
        "reason": "3 of 10 pool sessions blocked (threshold 2): ccl-auto-11 shows “You've hit your 5-hour limit”",
        "rejected": {},
        "sessions": {f"ccl-auto-{n}": "recreate done" for n in range(11, 21)},
    }
    hit = {
        "first_seen": stamp(hours=-3),
        "pattern": "p",
        "snippet": "You've hit your limit",
        "resets_at": stamp(hours=1),
    }
    return {
        "version": 1,
        "active_account": "main",
        "sessions": {f"ccl-auto-{n}": {"account": "main", "hit": hit, "kind": "quota"} for n in range(500)},
        "history": [{"at": stamp(minutes=-100 * n), **entry} for n in range(10_000, 0, -1)],
    }


every_state = pytest.mark.parametrize("kind", STATES)
