"""Many checks at the same instant: exactly one of them swaps."""

import json
import subprocess
import sys
from pathlib import Path

from tests.support.sandbox import POOL, Sandbox

CROWD = 200
# Starts that many processes with the check loaded; all begin at the same instant, when their pipe is closed.
PROGRAM = """
import json, os, sys
from failover_oneshot import check, cli
from failover_oneshot.config import loader

folder, crowd, *argv = sys.argv[1:]
children = []
for number in range(int(crowd)):
    child = os.fork()
    if not child:
        code = 255
        try:
            for descriptor, name in ((1, "out"), (2, "err")):
                os.dup2(os.open(f"{folder}/{number}.{name}", os.O_WRONLY | os.O_CREAT), descriptor)
            os.read(0, 1)
            code = cli.main(argv)
        finally:
            os._exit(code)
    children.append(child)
print("ready", flush=True)
print(json.dumps([os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children]))
"""


def all_at_once(sandbox: Sandbox, folder: Path) -> list[tuple[int, str, str]]:
    """The exit code, stdout and stderr of each check."""
    folder.mkdir()
    argv = [sys.executable, "-c", PROGRAM, str(folder), str(CROWD), *sandbox.flags("--json")]
    with subprocess.Popen(
        argv, env=sandbox.environ(), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as program:
        assert program.stdin
        assert program.stdout
        assert program.stdout.readline() == "ready\n"
        program.stdin.close()
        codes = json.loads(program.stdout.read())
    return [
        (code, (folder / f"{number}.out").read_text(), (folder / f"{number}.err").read_text())
        for number, code in enumerate(codes)
    ]


def test_two_hundred_at_once_make_one_swap(blocked: Sandbox, tmp_path: Path) -> None:
    """The others wait for the lock and then report the cooldown, or give up with exit 75; none swaps again."""
    blocked.save_config()
    before = blocked.server.pids()
    outcomes: dict[str, int] = {}
    for code, out, err in all_at_once(blocked, tmp_path / "crowd"):
        assert code in {0, 75}, err
        assert "Traceback" not in err
        outcome = json.loads(out)["outcome"] if out else "try again"
        outcomes[outcome] = outcomes.get(outcome, 0) + 1
    assert sum(outcomes.values()) == CROWD
    assert outcomes["swapped"] == 1
    assert set(outcomes) <= {"swapped", "cooldown", "try again"}
    assert [e["outcome"] for e in blocked.state()["history"]] == ["swapped"]
    assert {name for name in before if before[name] != blocked.server.pids()[name]} == set(POOL)
    assert blocked.live()[1] == "backup@example.invalid"
    assert [p for p in blocked.home.parent.rglob("*.lock") if p.is_dir()] == [], "a lock of Claude Code is left"
    blocked.config["state"] = {"lock_timeout": "10ms"}
    blocked.save_config()
    assert blocked.check()["outcome"] == "cooldown", "our lock is not free"
