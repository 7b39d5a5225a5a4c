"""Sends notices through apprise, in a separate process per target (`apprise_sender.py`). `outbox.py` decides which.

The URLs are secrets (law L4): they reach that process through stdin, and our own messages name a target by its place
in the configuration or in `notify.urls_file`.
"""

import json
import logging
import os
import signal
import stat
import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from msgspec import Struct

from failover_oneshot.config.model import Notify
from failover_oneshot.errors import EXIT_FAILED, FailoverError
from failover_oneshot.lib import atomicfile, durations
from failover_oneshot.monitoring.apprise_sender import EXIT_MISSING
from failover_oneshot.state.model import Notice

LIMIT = 64 * 1024
MISSING = (
    "apprise is not installed; run `pipx inject failover-oneshot apprise` or `pip install 'failover-oneshot[notify]'`"
)
TYPES = {"swapped": "info", "resumed": "success", "waiting": "warning", "failed": "failure", "auth": "failure"}

log = logging.getLogger("failover")


class NotifyError(FailoverError):
    """No notice can be sent. The message says why and what to do; it never holds a URL."""

    exit_code = EXIT_FAILED


class NotifyTarget(Struct, frozen=True):
    """A receiver of notices. ``place`` names it in messages, because its ``url`` is a secret."""

    place: str
    url: str


def targets(notify: Notify) -> tuple[NotifyTarget, ...]:
    """The configured targets: first `notify.urls`, then the lines of `notify.urls_file`.

    Raises NotifyError when the file cannot be used.
    """
    found = [NotifyTarget(f"notify.urls[{i}]", url) for i, url in enumerate(notify.urls)]
    if notify.urls_file:
        for number, line in enumerate(_read(Path(notify.urls_file)).splitlines(), start=1):
            url = line.strip()
            if url and not url.startswith("#"):
                found.append(NotifyTarget(f"line {number} of notify.urls_file", url))
    return tuple(found)


def send(notify: Notify, notices: Sequence[Notice]) -> list[tuple[int, ...]]:
    """Send each notice; return for each the numbers of the targets that still lack it. A failed delivery is a warning.

    Raises NotifyError when no delivery could be tried.
    """
    to = targets(notify)
    deadline = time.monotonic() + notify.timeout
    wanted = {
        number: [i for i, notice in enumerate(notices) if notice.left is None or number in notice.left]
        for number in range(len(to))
    }
    senders = {number: _start(to[number].url, [notices[i] for i in mine]) for number, mine in wanted.items() if mine}
    # The senders run side by side; all are bounded by the same deadline.
    late = f"no answer within {durations.format(notify.timeout)} (notify.timeout)"
    answers = {number: _answers(sender, len(wanted[number]), deadline, late) for number, sender in senders.items()}
    if any(sender.returncode == EXIT_MISSING for sender in senders.values()):
        raise NotifyError(MISSING)
    left: list[tuple[int, ...]] = [() for _ in notices]
    for number, errors in answers.items():
        for i, error in zip(wanted[number], errors, strict=True):
            if error is not None:
                log.warning("%s notice not delivered to %s: %s", notices[i].event, to[number].place, error)
                left[i] = (*left[i], number)
    return left


def _start(url: str, notices: Sequence[Notice]) -> subprocess.Popen[bytes]:
    """Start a process that sends these notices to one target."""
    # -P: never import a module from the working folder
    argv = [sys.executable, "-P", "-m", "failover_oneshot.monitoring.apprise_sender"]
    host = os.uname().nodename
    messages = [
        {"title": f"failover on {host}: {n.event}", "body": n.text, "type": TYPES.get(n.event, "info")} for n in notices
    ]
    try:
        process = subprocess.Popen(
            argv,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,  # a traceback of an apprise plugin may quote a URL
            start_new_session=True,
        )
    except OSError as error:
        raise NotifyError(f"cannot start {sys.executable}: {error.strerror}") from None
    if process.stdin:  # the sender reads all of it before it does anything else
        with suppress(BrokenPipeError), process.stdin as stdin:
            stdin.write(json.dumps({"url": url, "messages": messages}).encode())
        process.stdin = None
    return process


def _answers(process: subprocess.Popen[bytes], count: int, deadline: float, late: str) -> list[str | None]:
    """The result of each of ``count`` notices: None if it was delivered, else why not; ``late`` after the deadline."""
    why = ""
    try:
        said, _ = process.communicate(timeout=max(0.0, deadline - time.monotonic()))
    except subprocess.TimeoutExpired:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        said, _ = process.communicate()  # keep what was delivered before the kill
        why = late
    answers: list[str | None] = []
    for line in said.splitlines():
        with suppress(ValueError):  # a line cut short, or printed by a plugin
            answers.append(json.loads(line))
    missing = why or f"the sender ended with exit status {process.returncode}"
    return [*answers, *[missing] * count][:count]


def _read(path: Path) -> str:
    try:
        info = path.stat()
        data = atomicfile.read_bounded(path, LIMIT)
    except OSError as error:
        raise NotifyError(f"cannot read notify.urls_file {path}: {error.strerror}") from None
    except ValueError as error:
        raise NotifyError(f"cannot read notify.urls_file: {error}") from None
    if info.st_uid != os.geteuid():
        raise NotifyError(
            f"notify.urls_file {path} belongs to another user (uid {info.st_uid}); run `sudo chown $USER {path}`"
        )
    if (mode := stat.S_IMODE(info.st_mode)) & 0o077:
        raise NotifyError(f"notify.urls_file {path} is accessible to others (mode {mode:04o}); run `chmod 600 {path}`")
    try:
        return data.decode()
    except UnicodeDecodeError:
        raise NotifyError(f"notify.urls_file {path} is not UTF-8 text") from None
