"""Runs the operator's programs after a check, with the report as JSON on stdin and the state already written.

They run without the lock, so that a hook may call failoverctl. A failed hook is a warning, never an error.
"""

import logging
import os
import signal
import subprocess
from contextlib import suppress

from failover_oneshot.config.model import Hooks
from failover_oneshot.lib import durations
from failover_oneshot.model import Outcome
from failover_oneshot.report import Report, to_json

log = logging.getLogger("failover")


def due(hooks: Hooks, report: Report, before: Outcome | None) -> tuple[str, tuple[str, ...]] | None:
    """The hook to run for this report, as name and argv, or None. ``before`` is the previous check's outcome.

    `on_swap` runs after every swap; `on_waiting` and `on_failure` only when the situation begins.
    """
    match report.outcome:
        case Outcome.SWAPPED:
            found = ("on_swap", hooks.on_swap)
        case Outcome.WAITING if before is not Outcome.WAITING:
            found = ("on_waiting", hooks.on_waiting)
        case Outcome.FAILED if before is not Outcome.FAILED:
            found = ("on_failure", hooks.on_failure)
        case _:
            return None
    return found if found[1] else None


def run(name: str, argv: tuple[str, ...], report: Report, timeout: float) -> None:
    """Run one hook until it exits or the timeout (seconds) is over. Never raises for what the hook does."""
    try:
        process = subprocess.Popen(
            argv,
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            start_new_session=True,
            text=True,
            errors="replace",
        )
    except OSError as error:
        log.warning("cannot start hook %s: %s", name, error.strerror)
        return
    try:
        _, said = process.communicate(to_json(report) + "\n", timeout=timeout)
    except subprocess.TimeoutExpired:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        log.warning("hook %s did not finish within %s (hooks.timeout); killed", name, durations.format(timeout))
        return
    if process.returncode:
        from failover_oneshot.lib.redact import redact

        lines = [line for line in said.splitlines() if line.strip()]
        why = f": {redact(lines[-1])[:200]}" if lines else ""
        log.warning("hook %s failed (exit status %d)%s", name, process.returncode, why)
