"""After a run: the metrics file, the notices, the ping. Outside the lock, with everything decided and written.

Nothing here may stop or fail a check: what goes wrong is a warning. It is imported only when one of them is configured.
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
from failover_oneshot.state.store import LockTimeoutError, Origin, StateStore, StoreError

MAX_BYTES = 1 << 20

log = logging.getLogger("failover")


@contextmanager
def _harmless() -> Iterator[None]:
    """A mistake of ours in here must not fail a check that is done. Its text is not shown: it may quote a URL."""
    try:
        yield
    except Exception as error:
        log.warning("unforeseen error while telling what happened, please report it: %s", type(error).__name__)


@_harmless()
def begin(config: Config) -> None:
    """A run begins."""
    if config.ping.url and config.ping.start:
        from failover_oneshot.monitoring.healthchecks import ping

        ping(config.ping, "/start", "")


@_harmless()
def checked(config: Config, store: StateStore, report: Report, state: State, due: Sequence[Notice]) -> None:
    """A check ran to its end and left this state; ``due``: the notices to send now."""
    if config.metrics.textfile:
        _write(config.metrics.textfile, metrics.render(config, state, report))
    if due:
        _notify(config, store, report, due)


@_harmless()
def could_not_check(config: Config, exit_code: int) -> None:
    """A run ended without a check: the metrics of the last one stay, beside this run's exit code."""
    path = config.metrics.textfile
    if not path:
        return
    try:
        before = atomicfile.read_bounded(path, MAX_BYTES).decode()
    except (OSError, ValueError):  # none yet, or none of ours
        before = ""
    _write(path, metrics.rerun(before, config.metrics.labels, seconds(datetime.now(UTC)), exit_code))


@_harmless()
def end(config: Config, exit_code: int, said: str) -> None:
    """A run is over; ``said``: what it has to say."""
    # "Try again" is no failure, but no success either: when it goes on the pings stay away, and that is the alarm.
    if config.ping.url and exit_code != EXIT_TEMPFAIL:
        from failover_oneshot.monitoring.healthchecks import ping

        ping(config.ping, "/fail" if exit_code else "", redact(said))


def _write(path: str, text: str) -> None:
    """Replace the file in one step. node_exporter runs as another user: everybody may read it, whatever the umask.

    It is not synced, as the state is: that costs ten times as much, and after a crash the next check writes it anew.
    """
    temporary = Path(f"{path}.{os.urandom(4).hex()}.tmp")  # the collector reads *.prom only
    try:
        with temporary.open("x", encoding="utf-8") as file:
            file.write(text)
        temporary.chmod(0o644)
        temporary.replace(atomicfile.real_path(path))
    except (OSError, ValueError) as error:
        atomicfile.remove(temporary)
        log.warning("metrics.textfile %s was not written: %s", path, getattr(error, "strerror", None) or error)


def _notify(config: Config, store: StateStore, report: Report, due: Sequence[Notice]) -> None:
    from failover_oneshot.monitoring import apprise, outbox

    try:
        left = apprise.send(config.notify, due)
    except apprise.NotifyError as error:
        log.warning("nobody was told: %s", error)
        return
    again = {outbox.key(notice): missing for notice, missing in zip(due, left, strict=True)}
    try:
        with store.locked():
            loaded = store.load(report.at, quarantine=False)
            if loaded.origin is Origin.FILE:  # else the next check has more to say of it
                store.save(outbox.delivered(loaded.state, again))
    except (StoreError, LockTimeoutError) as error:
        log.warning("it could not be noted who was told, so some may be told again: %s", error)
