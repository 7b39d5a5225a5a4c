"""The kill matrix: a real check killed at each call that changes the world, then ordinary checks, then a look around.

    python tests/kill_matrix.py [--stride N] [SCENARIO …]

tries every point of every scenario and prints how many there were; the tests try a part of them.
"""

import argparse
import json
import os
import stat
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

from conftest import private_server
from fleet import ROOT, Fleet, credentials, identity
from polling import poll
from test_check import NEIGHBOURS, POOL, hit_screen

SCENARIOS = [
    "claude-recreate", "claude-respawn", "claude-nudge", "claude-none",
    "files-recreate", "env-recreate", "env-respawn", "command-recreate",
]  # fmt: skip
KILLED = -9


class Trial:
    """One fleet, blocked, whose sessions note each start of theirs."""

    def __init__(self, fleet: Fleet, scenario: str) -> None:
        self.fleet = fleet
        self.method, self.mode = scenario.split("-")
        folder = fleet.home.parent
        self.starts, self.switches = folder / "starts", folder / "switches"
        self.starts.mkdir()
        fleet.config["swap"]["method"] = self.method
        fleet.config["pool"]["autonomous"]["after_swap"] = self.mode
        getattr(self, f"_{self.method}")()
        fleet.save_config()
        for name in (*POOL, *NEIGHBOURS):
            if self.mode == "nudge" and name in POOL:
                self._stand_in(name)
            else:
                screen = fleet.server.screen_command(hit_screen())
                log = self.starts / name
                fleet.server.start(name, f"echo ${{FAKE_ACCOUNT:-x}} >> {log}; {screen}")
        for name in (*POOL, *NEIGHBOURS):
            poll(partial(self._shows, name, "limit"))
        self.pids = self._pids()

    def _shows(self, name: str, word: str) -> bool:
        return word in self.fleet.server.tmux("capture-pane", "-p", "-t", f"={name}:")

    def _claude(self) -> None:
        pass

    def _files(self) -> None:
        live = self.fleet.home / "auth.json"
        self.fleet.config["swap"]["files"] = [str(live), str(self.fleet.home / "profile.json")]
        for account in ("main", "backup"):
            for name in ("auth.json", "profile.json"):
                self.fleet.write(self.fleet.stored(account) / name, {"login": f"FAKE-{account}-{name}-1"})
        for name in ("auth.json", "profile.json"):
            self.fleet.write(self.fleet.home / name, {"login": f"FAKE-main-{name}-1"})
        self.fleet.set_state(active_account="main")

    def _env(self) -> None:
        for account in self.fleet.config["accounts"]:
            account["env"] = {"FAKE_ACCOUNT": account["name"]}
        self.fleet.set_state(active_account="main")

    def _command(self) -> None:
        script = self.fleet.home / "switch"
        script.write_text(f'#!/bin/sh\necho "$1 $2" >> {self.switches}\n')
        script.chmod(0o755)
        self.fleet.config["swap"]["command"] = [str(script), "{from}", "{to}"]
        self.fleet.set_state(active_account="main")

    def _stand_in(self, name: str) -> None:
        quota = self.fleet.home / "quota.json"
        quota.write_text(json.dumps({"main": (datetime.now(UTC) + timedelta(hours=2)).isoformat()}))
        for path in (self.fleet.claude / ".credentials.json", self.fleet.stored("backup") / ".credentials.json"):
            login = json.loads(path.read_bytes())
            account = "main" if path.parent == self.fleet.claude else "backup"
            login["claudeAiOauth"]["accessToken"] = f"fake-{account}-2"
            self.fleet.write(path, login)
        self.fleet.server.start(
            name,
            f"PYTHONPATH={ROOT} exec {sys.executable} -m failover_oneshot.standin --claude-dir {self.fleet.claude}"
            f" --quota {quota} --log {self.starts / name} 'do the work'",
        )

    def _pids(self) -> dict[str, str]:
        return {line.split()[0]: line.split()[-1] for line in self.fleet.panes().splitlines()}

    def killed(self, point: int | str, points: Path) -> int:
        argv = [sys.executable, str(ROOT / "tests" / "killpoint.py"), str(point), str(points), *self.fleet.argv()[3:]]
        done = subprocess.run(argv, env=self.fleet.environ(), capture_output=True, text=True, timeout=120, check=False)
        assert done.returncode in {0, KILLED}, done.stderr
        return done.returncode

    def recover(self) -> None:
        """Ordinary checks until nothing is owed: at most two, whatever happened."""
        outcomes = []
        for _ in range(2):
            done = self.fleet.run("--json")
            assert done.returncode == 0, (done.returncode, done.stdout, done.stderr)
            outcomes.append(json.loads(done.stdout)["outcome"])
        assert outcomes in (["swapped", "cooldown"], ["cooldown", "cooldown"]), outcomes

    def fail(self, point: int, error: str) -> None:
        """A check whose disk fails from that point on: one of the promised exit codes, and no traceback."""
        argv = [sys.executable, str(ROOT / "tests" / "killpoint.py"), f"{point}:{error}", os.devnull]
        done = subprocess.run(
            [*argv, *self.fleet.argv()[3:]],
            env=self.fleet.environ(), capture_output=True, text=True, timeout=120, check=False,
        )  # fmt: skip
        assert done.returncode in {0, 1, 74}, (done.returncode, done.stderr)
        assert "Traceback" not in done.stderr
        assert "FAKE-" not in done.stdout + done.stderr
        state = self.fleet.state() if self.fleet.state_file.exists() else {}
        if state.get("last_failure"):  # given up, everything as it was: the next attempt comes after the cooldown
            assert self.live_login() == "main"
            self.fleet.set_state(last_failure=None, history=[])

    def live_login(self) -> str:
        """Whose login is live, by the files; "main" where the method has none."""
        path = {"claude": self.fleet.claude / ".credentials.json", "files": self.fleet.home / "auth.json"}.get(
            self.method
        )
        return "backup" if path and "backup" in path.read_text() else "main"

    def verify(self) -> None:
        """Everything that section 8 promises."""
        fleet, state = self.fleet, self.fleet.state()
        assert state["swap_in_progress"] is None
        assert state["active_account"] == "backup"
        assert [e["outcome"] for e in state["history"]] == ["swapped"], "exactly one swap"
        for name in POOL:
            assert state["sessions"][name]["hit"]["acted_on"] is True
        getattr(self, f"_verify_{self.method}")()
        self._verify_sessions()
        locks = [p for p in fleet.home.rglob("*.lock") if p.is_dir()]
        assert locks == [], "the client's locks are released"
        for path in fleet.home.parent.rglob("*"):
            secret = path.is_file() and not path.is_symlink() and b"FAKE-" in path.read_bytes()
            if secret and path.name != "switches":
                assert stat.S_IMODE(path.stat().st_mode) == 0o600, f"{path} is not private"
        assert "FAKE-" not in fleet.state_file.read_text()

    def _verify_claude(self) -> None:
        fleet = self.fleet
        live = json.loads((fleet.claude / ".credentials.json").read_bytes())
        kept = json.loads((fleet.stored("main") / ".credentials.json").read_bytes())
        expected = credentials("main", 2)
        if self.mode == "nudge":
            expected["claudeAiOauth"]["accessToken"] = "fake-main-2"
        assert kept == expected, "the newest login of the account left behind"
        stored = json.loads((fleet.stored("backup") / ".credentials.json").read_bytes())
        assert live == {**stored, "mcpOAuth": {"server": {"accessToken": "FAKE-mcp"}}}
        assert stored["claudeAiOauth"]["refreshToken"] == "FAKE-refresh-backup-1"
        settings = json.loads((fleet.home / ".claude.json").read_bytes())
        assert settings == {"numStartups": 7, "oauthAccount": identity("backup"), "projects": {}}

    def _verify_files(self) -> None:
        for name in ("auth.json", "profile.json"):
            for path, account in (
                (self.fleet.home / name, "backup"),
                (self.fleet.stored("main") / name, "main"),
                (self.fleet.stored("backup") / name, "backup"),
            ):
                assert json.loads(path.read_bytes()) == {"login": f"FAKE-{account}-{name}-1"}, path

    def _verify_env(self) -> None:
        for name in POOL:
            assert (self.starts / name).read_text().split()[-1] == "backup"

    def _verify_command(self) -> None:
        assert set(self.switches.read_text().splitlines()) == {"main backup"}

    def _verify_sessions(self) -> None:
        now = self._pids()
        assert set(now) == {*POOL, *NEIGHBOURS}
        assert {n: now[n] for n in NEIGHBOURS} == {n: self.pids[n] for n in NEIGHBOURS}, "a neighbour was touched"
        for name in POOL:
            if self.mode == "nudge":
                sent = [json.loads(line) for line in (self.starts / name).read_text().splitlines()]
                assert [entry["prompt"] for entry in sent] == ["do the work", "continue"], f"{name} nudged once"
                assert sent[-1]["account"] == "backup"
                continue
            expected = 1 if self.mode == "none" else 2
            starts = poll(partial(self._starts, name, expected))
            assert len(starts) == expected, f"{name} restarted once"
            assert (now[name] == self.pids[name]) is (self.mode == "none")

    def _starts(self, name: str, least: int) -> list[str]:
        found = (self.starts / name).read_text().split()
        return found if len(found) >= least else []


@contextmanager
def trial(scenario: str) -> Iterator[Trial]:
    with private_server() as server, tempfile.TemporaryDirectory() as folder:
        yield Trial(Fleet(server, Path(folder)), scenario)


def points_of(scenario: str) -> list[str]:
    """The points of one undisturbed check, which is verified as well."""
    with trial(scenario) as one, tempfile.NamedTemporaryFile() as file:
        assert one.killed(0, Path(file.name)) == 0
        one.recover()
        one.verify()
        return Path(file.name).read_text(encoding="utf-8").splitlines()


def try_point(scenario: str, point: int) -> None:
    """Kill at that point, recover, verify."""
    with trial(scenario) as one:
        one.killed(point, Path(os.devnull))
        one.recover()
        one.verify()


def try_error(scenario: str, point: int, error: str) -> None:
    """Let the disk fail from that point on, then mend it, recover, verify."""
    with trial(scenario) as one:
        one.fail(point, error)
        one.recover()
        one.verify()


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("scenarios", nargs="*", default=SCENARIOS)
    parser.add_argument("--stride", type=int, default=1)
    parser.add_argument("--error", help="no kill: the disk fails from that point on, with ENOSPC, EIO, EACCES, EROFS …")
    parser.add_argument("--first", type=int, default=1)
    options: Any = parser.parse_args()
    bad = 0
    for scenario in options.scenarios or SCENARIOS:
        points = points_of(scenario)
        tried = range(options.first, len(points) + 1, options.stride)
        for point in tried:
            try:
                if options.error:
                    try_error(scenario, point, options.error)
                else:
                    try_point(scenario, point)
            except AssertionError as error:
                bad += 1
                print(f"{scenario} at {point} ({points[point - 1][:60]}): {str(error)[:600]}")  # noqa: T201
        print(f"{scenario}: {len(tried)} of {len(points)} points tried", flush=True)  # noqa: T201
    print(f"{bad} failed")  # noqa: T201
    return bool(bad)


if __name__ == "__main__":
    sys.exit(main())
