"""Try a swap with the real Claude Code: two fake accounts, a fake API on loopback, a blocked pool, one check.

    npm install --prefix DIR @anthropic-ai/claude-code
    unshare --net .venv/bin/python -m verification.real_client DIR/node_modules/.bin/claude [recreate | respawn | nudge]

It uses a throwaway home, in a network namespace that has only loopback. Not a test, because it needs a program that is
not a dependency. docs/kill-matrix.md has the last results.
"""

import json
import sys
import tempfile
from functools import partial
from pathlib import Path

from failover_oneshot.ctl.demo.sandbox import credentials
from tests.support.polling import poll
from tests.support.sandbox import Sandbox
from tests.support.tmux_server import private_server
from verification import real_lab

POOL = ("ccl-auto-11", "ccl-auto-12")
NEIGHBOUR = "ccl-0"


def main(program: str, mode: str) -> None:
    real_lab.only_loopback()
    print(f"{real_lab.version(program)}, after_swap {mode}")
    with private_server() as server, tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        sandbox = Sandbox(server, Path(folder))
        api = real_lab.FakeApi(Path(folder), {"main": 2, "backup": 1}, limited={"main"})
        folders = [Path(folder) / name for name in (*POOL, NEIGHBOUR)]
        for place in folders:
            place.mkdir()
        real_lab.prepare(sandbox, "main", 2, folders)
        clean = real_lab.command(program, sandbox, api)
        sandbox.config["pool"]["autonomous"].update(
            after_swap=mode, command=clean, resume_command=f"{clean} --resume {{session_id}} 'go on'", nudge="go on"
        )

        def shows(name: str, words: str) -> bool:
            return words in server.screen(name)

        for name, place in zip((*POOL, NEIGHBOUR), folders, strict=True):
            server.start(name, f"{clean} 'the task of {name}'", folder=place, width=100, height=40)
        try:
            for name in (*POOL, NEIGHBOUR):
                poll(partial(shows, name, "hit your"), seconds=90)
        except AssertionError:
            print(server.screen(POOL[0]), api.seen)
            raise
        print(f"before the check:\n{server.screen(POOL[0]).rstrip()}\n")
        before = sandbox.server.pids()
        asked = len(api.seen)
        done = sandbox.run()
        print(f"$ failover-check   # exit {done.returncode}\n{done.stderr}{done.stdout}")
        try:
            for name in POOL:
                poll(partial(shows, name, "Answered on backup."), seconds=90)
        finally:
            for name in POOL:
                print(f"{name} after the check:\n{server.screen(name).rstrip()}\n")
        for request in api.seen[asked:]:
            print(json.dumps(request))
        later = [r for r in api.seen[asked:] if "go on" in r["user"]]
        assert {r["account"] for r in later} == {"backup"}
        for name in POOL:
            assert any(f"the task of {name}" in r["user"] for r in later), f"{name} lost its conversation"
        after = sandbox.server.pids()
        assert after[NEIGHBOUR] == before[NEIGHBOUR]
        assert sandbox.live()[1] == "backup@example.invalid"
        kept = json.loads((sandbox.stored("main") / ".credentials.json").read_bytes())
        assert kept["claudeAiOauth"] == credentials("main", 2)["claudeAiOauth"]
        print(f"{mode}: each pool session continued its own conversation on the other account")


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2] if len(sys.argv) > 2 else "recreate")
