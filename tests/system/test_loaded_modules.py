"""What failover-check must not import."""

import subprocess
import sys

from tests.support.sandbox import Sandbox


def test_the_timers_check_imports_nothing_that_only_failoverctl_needs(sandbox: Sandbox) -> None:
    """A whole run, with a server and sessions, and the modules that it has at its end."""
    for name in ("ccl-auto-11", "ops"):
        sandbox.server.start(name)
    sandbox.save_config()
    arguments = ["failover-check", "--config", str(sandbox.config_file), "--state", str(sandbox.state_file)]
    program = (
        f"import sys; sys.argv = {arguments!r}; from failover_oneshot.cli import main; code = main();"
        "print(code, *sorted(sys.modules))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], env=sandbox.environ(), capture_output=True, text=True, check=True
    )
    code, *modules = done.stdout.splitlines()[-1].split()
    assert code == "0"
    assert "failover_oneshot.check" in modules
    only_ctl = {"shtab", "xml", "html", "importlib.resources", "jsonschema"}
    ours = {"ctl", "fake_agent", "config.schema", "config.errors"}
    wanted = only_ctl | {f"failover_oneshot.{name}" for name in ours}
    assert [name for name in modules if any(f"{name}.".startswith(f"{bad}.") for bad in wanted)] == []
