"""Try the real claude-swap as `swap.method: command`, in a throwaway home, on a private tmux server, without a network.

    python3.12 -m venv DIR && DIR/bin/pip install claude-swap
    unshare --net .venv/bin/python -m verification.claude_swap DIR/bin/cswap

Not a test, because it needs a program that is not a dependency. docs/kill-matrix.md has the last results.
"""

import json
import sys
import tempfile
from pathlib import Path

from tests.support.sandbox import NEIGHBOURS, POOL, Sandbox, hit_screen
from tests.support.tmux_server import private_server


def main(program: str) -> None:
    with private_server() as server, tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        sandbox = Sandbox(server, Path(folder))

        def cswap(*words: str) -> None:
            done = sandbox.execute([program, *words])
            assert done.returncode == 0, done.stderr
            print(f"$ cswap {' '.join(words)}\n{done.stdout.strip()}")

        for number, account in enumerate(("main", "backup"), start=1):
            sandbox.log_in(account)
            cswap("add")
            cswap("alias", str(number), account)
        cswap("switch", "main")
        sandbox.log_in("main", generation=2)  # Claude Code has refreshed them since
        sandbox.config["accounts"] = [{"name": name} for name in ("main", "nobody", "backup")]
        sandbox.config["swap"] = {"method": "command", "command": [program, "switch", "{to}"]}
        sandbox.set_state(active_account="main")
        for name in (*POOL, *NEIGHBOURS):
            server.show(name, hit_screen())
        before = sandbox.server.pids()
        for _ in range(2):
            done = sandbox.run()
            print(f"$ failover-check   # exit {done.returncode}\n{done.stderr}{done.stdout}")
        token, email = sandbox.live()
        assert (token, email) == ("fake-backup-1", "backup@example.invalid")
        assert {name for name in before if before[name] != sandbox.server.pids()[name]} == set(POOL)
        print(json.dumps(sandbox.state()["history"], indent=2))
        cswap("switch", "main")
        assert sandbox.live()[0] == "fake-main-2", "claude-swap lost the credentials that Claude Code had refreshed"
        print(f"live again: {sandbox.live()}")

        sandbox.config["swap"]["command"] = [program, "switch", "{to}-of-nobody"]
        sandbox.save_config()
        sandbox.set_state(last_swap=None, history=[], accounts={}, sessions={}, active_account="main")
        before = sandbox.server.pids()
        done = sandbox.run()
        print(f"$ failover-check   # exit {done.returncode}\n{done.stderr}{done.stdout}")
        assert done.returncode == 1
        assert sandbox.live()[0] == "fake-main-2"
        assert sandbox.server.pids() == before


if __name__ == "__main__":
    main(sys.argv[1])
