"""Writes the metrics file, sends notices and pings after a run, without the lock and with the state already written.

Nothing here may stop or fail a check: every problem is a warning. Imported only when one of the three is configured.
"""

import logging
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

from failover_oneshot.config.model import Config
from failover_oneshot.errors import EXIT_TEMPFAIL
from failover_oneshot.lib import atomicfile
from failover_oneshot.lib.redact import redact
from failover_oneshot.monitoring import metrics
from failover_oneshot.report import Report
from failover_oneshot.state.model import Notice, State, seconds
from failover_oneshot.state.store import LockLostError, LockTimeoutError, Origin, StateStore, StoreError

MAX_BYTES = 1 << 20

log = logging.getLogger("failover")


@contextmanager
def _harmless() -> Iterator[None]:
    """Turn an unexpected error into a warning, because the check is done. Its text is left out: it may quote a URL."""
    try:
        yield
    except Exception as error:
        log.warning("unexpected error in metrics, notices or ping, please report it: %s", type(error).__name__)


@_harmless()
def begin(config: Config) -> None:
    """Ping the start of a run, if `ping.start` is set."""
    if config.ping.url and config.ping.start:
        from failover_oneshot.monitoring.healthchecks import ping

        ping(config.ping, "/start", "")


@_harmless()
def checked(config: Config, store: StateStore, report: Report, state: State, due: Sequence[Notice]) -> None:
    """Write the metrics and send the notices in ``due`` after a complete check; ``state`` is as the check left it."""
    if config.metrics.textfile:
        _write(config.metrics.textfile, metrics.render(config, state, report))
    if due:
        _notify(config, store, report, due)


@_harmless()
def could_not_check(config: Config, exit_code: int) -> None:
    """Write the exit code of a run that could not check; the metrics of the last check stay in the file."""
    path = config.metrics.textfile
    if not path:
        return
    try:
        before = atomicfile.read_bounded(path, MAX_BYTES).decode()
    except (OSError, ValueError):  # no such file yet, or not one of ours
        before = ""
    _write(path, metrics.rerun(before, config.metrics.labels, seconds(datetime.now(UTC)), exit_code))


@_harmless()
def end(config: Config, exit_code: int, summary: str) -> None:
    """Ping the end of a run, with its summary line or error as the body.

    "Try again" is neither a success nor a failure. If it persists, the missing pings raise the alarm.
    """
    if config.ping.url and exit_code != EXIT_TEMPFAIL:
        from failover_oneshot.monitoring.healthchecks import ping

        ping(config.ping, "/fail" if exit_code else "", redact(summary))


def _write(path: str, text: str) -> None:
    """Replace the file in one step. Anyone may read it, whatever the umask: node_exporter runs as another user.

    Unlike the state it is not synced: that takes ten times as long, and after a crash the next check rewrites the file.
    """
    temporary = Path(f"{path}.{os.urandom(4).hex()}.tmp")  # the collector reads *.prom only
    try:
        with temporary.open("x", encoding="utf-8") as file:
            file.write(text)
        temporary.chmod(0o644)
        temporary.replace(atomicfile.real_path(path))
    except (OSError, ValueError) as error:
        atomicfile.remove(temporary)
        log.warning("cannot write metrics.textfile %s: %s", path, getattr(error, "strerror", None) or error)


def _notify(config: Config, store: StateStore, report: Report, due: Sequence[Notice]) -> None:
    from failover_oneshot.monitoring import apprise, outbox

    try:
        left = apprise.send(config.notify, due)
    except apprise.NotifyError as error:
        log.warning("no notice sent: %s", error)
        return
    again = {outbox.key(notice): missing for notice, missing in zip(due, left, strict=True)}
    try:
        with store.locked():
            loaded = store.load(report.at, quarantine=False)
            if loaded.origin is Origin.FILE:  # else the next check reports the problem
                store.save(outbox.delivered(loaded.state, again))
    except (StoreError, LockTimeoutError, LockLostError) as error:
        log.warning("could not record deliveries; some notices may be sent twice: %s", error)
