"""`failoverctl demo` as an operator runs it."""

from tests.support.operator import ctl
from tests.support.sandbox import Sandbox


def test_the_demo_keeps_its_promises(sandbox: Sandbox) -> None:
    done = ctl(sandbox, "demo")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "promises hold" in done.stdout
    assert "✗" not in done.stdout
