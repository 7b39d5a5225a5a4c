"""Many checks at the same instant: exactly one swaps."""

import json
import os
import subprocess

from tests.support.sandbox import POOL, Sandbox, pids

CROWD = 200


def test_two_hundred_at_once_make_one_swap(blocked: Sandbox) -> None:
    """Each waits for the lock, then finds the cooldown, or gives up with 75: never a second swap."""
    blocked.save_config()
    before = pids(blocked)
    gate, starter = os.pipe()  # so that they all begin in the same instant, when its end is closed
    crowd = [
        subprocess.Popen(
            ["/bin/sh", "-c", 'read -r _ <&0; exec "$@"', "sh", *blocked.argv("--json")],
            env=blocked.environ(),
            stdin=gate,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for _ in range(CROWD)
    ]
    os.close(gate)
    os.close(starter)
    outcomes: dict[str, int] = {}
    for process in crowd:
        out, err = process.communicate(timeout=300)
        assert process.returncode in {0, 75}, err
        assert "Traceback" not in err
        outcome = json.loads(out)["outcome"] if out else "try again"
        outcomes[outcome] = outcomes.get(outcome, 0) + 1
    assert outcomes["swapped"] == 1
    assert set(outcomes) <= {"swapped", "cooldown", "try again"}
    assert [e["outcome"] for e in blocked.state()["history"]] == ["swapped"]
    assert {name for name in before if before[name] != pids(blocked)[name]} == set(POOL)
    assert blocked.live()[1] == "backup@example.invalid"
    assert [p for p in blocked.home.parent.rglob("*.lock") if p.is_dir()] == [], "no lock of the client's is left"
    blocked.config["state"] = {"lock_timeout": "10ms"}
    blocked.save_config()
    assert blocked.check()["outcome"] == "cooldown", "nor is ours"
