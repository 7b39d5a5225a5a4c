"""The doctor's look at files: configuration, stores, live logins, state and lock. Reads only."""

import errno
import fcntl
import os
import shlex
import stat
import time
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

from failover_oneshot.accounts import registry
from failover_oneshot.config.model import Config, Method
from failover_oneshot.ctl.doctor import rules
from failover_oneshot.ctl.doctor.rules import DoctorLine, error, ok, warning
from failover_oneshot.state.model import State
from failover_oneshot.state.store import Origin, StateStore, StoreError

PATIENCE = 2.0  # seconds: a check holds the lock for some fiftieth of a second


def config_mode(file: Path, settings: Config) -> Iterator[DoctorLine]:
    """A configuration with variables of accounts may hold secrets."""
    mode = stat.S_IMODE(file.stat().st_mode)
    if any(account.env for account in settings.accounts) and mode & 0o077:
        text = f"{file} has mode {mode:04o} and an env block: a secret in it can be read by others"
        yield warning("config", text, f"chmod 600 {shlex.quote(str(file))}")


def accounts_lines(settings: Config, path: Path, state: State | None) -> Iterator[DoctorLine]:
    """Each account's store, and whose the live login is."""
    state = state or State()
    method = registry.method(settings, path.parent / "unclaimed", state.lineage)
    enabled = [account for account in settings.accounts if account.enabled]
    if not settings.accounts:
        yield warning("accounts", "none is configured: checks only observe", "name them in the config's accounts")
        return
    captured = settings.swap.method in {Method.CLAUDE, Method.FILES}
    live = method.live_account()
    if len(enabled) == 1:
        yield warning("accounts", f"only {enabled[0].name} is enabled: there is nothing to swap to", "add another")
    for account in settings.accounts:
        problem = method.check(account)
        if not problem:
            yield ok("accounts", f"{account.name}: usable{'' if account.enabled else ', disabled'}")
        elif account.name == live and captured:
            yield warning("accounts", f"{account.name}, which is live: {problem}; the first swap would save it there",
                          f"failoverctl accounts add {account.name}")  # fmt: skip
        else:
            mend = f"log in as {account.name}, then: failoverctl accounts add {account.name}"
            yield (error if account.enabled else warning)("accounts", f"{account.name}: {problem}",
                                                          mend if captured else "correct it in the config")  # fmt: skip
        if account.store:
            yield from _modes("accounts", Path(account.store))
    if not captured:
        return
    if live is None:
        yield warning("accounts", "the live login is that of no account here, or there is none",
                      "failoverctl accounts add NAME captures it")  # fmt: skip
    elif state.active_account and live != state.active_account:
        yield warning("accounts", f"live is {live}, the state says {state.active_account}",
                      "nothing to do: the next check that sees a hit takes the live one")  # fmt: skip
    else:
        yield ok("accounts", f"live: {live}")


def permissions(settings: Config, path: Path) -> Iterator[DoctorLine]:
    """That the live login and the state can be written by us, and read by nobody else."""
    lines = list(_modes("files", path.parent, only=(path.name, f"{path.name}.bak")))
    live: list[Path] = []
    if not settings.accounts:
        pass  # nothing is ever swapped
    elif settings.swap.method is Method.CLAUDE:
        live = [Path(settings.swap.claude_dir, ".credentials.json"), Path(settings.swap.claude_json)]
    elif settings.swap.method is Method.FILES:
        live = [Path(file) for file in settings.swap.files]
    for folder in sorted({Path(os.path.realpath(file)).parent for file in live}):
        if not os.access(folder, os.W_OK | os.X_OK):
            text = f"{folder} can not be written: no swap is possible"
            lines.append(error("files", text, f"ls -ld {shlex.quote(str(folder))}; log in with the client first"))
    for file in live:
        if str(file) != settings.swap.claude_json:
            lines += _mode("files", file)
    yield from lines or [ok("files", "the live login and the state are writable, and for nobody else to read")]


def told(settings: Config) -> Iterator[DoctorLine]:
    """Whether those who are to be told of what happens can be, and tasks be handed out."""
    from importlib.util import find_spec

    from failover_oneshot.monitoring import apprise

    try:
        targets = apprise.targets(settings.notify)
    except apprise.NotifyError as problem:
        yield error("told", str(problem), "correct it, or take notify.urls_file out of the config")
        targets = ()
    if targets and find_spec("apprise") is None:
        yield error("told", f"nobody of {len(targets)} can be told: apprise is not installed",
                    "pipx inject failover-oneshot apprise")  # fmt: skip
    elif targets:
        yield ok("told", f"{len(targets)} by apprise")
    for key, name in (("metrics.textfile", settings.metrics.textfile), ("dispatch.spool", settings.dispatch.spool)):
        if name is None:
            continue
        folder = Path(name).parent
        while key == "dispatch.spool" and not folder.exists():  # it is made when it is needed
            folder = folder.parent
        if not os.access(folder, os.W_OK | os.X_OK):
            text = f"{key}: {folder} {'can not be written' if folder.exists() else 'does not exist'}"
            yield error("told", text, f"ls -ld {shlex.quote(str(folder))}")


def state(settings: Config, path: Path, now: datetime) -> tuple[State | None, list[DoctorLine]]:
    """The state, None when it can not be read, and what there is to say about it."""
    try:
        loaded = StateStore(path, settings.state.lock_timeout).load(now, quarantine=False)
    except StoreError as problem:
        return None, [error("state", str(problem), f"ls -l {shlex.quote(str(path.parent))}; failoverctl --version")]
    if loaded.origin is Origin.FRESH:
        return None, [ok("state", f"{path}: none yet, the first check makes it")]
    lines = []
    for note in loaded.notes:
        kind = error if loaded.origin is Origin.RESET else warning
        lines.append(kind("state", note, "failover-check sets it aside and goes on; nothing is deleted"))
    if not lines:
        active, count = loaded.state.active_account or "none", len(loaded.state.history)
        lines.append(ok("state", f"{path}: active account {active}, history of {count}"))
    return loaded.state, [*lines, *rules.state_lines(settings, loaded.state, now)]


def lock(path: Path, timeout: float) -> Iterator[DoctorLine]:
    """Whether the lock beside the state is free. A check that is running is waited for, not disturbed."""
    file = Path(f"{path}.lock")
    try:
        fd = os.open(file, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        yield ok("lock", "free")
        return
    deadline = time.monotonic() + min(timeout, PATIENCE)
    try:
        while True:
            try:
                fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
                break
            except OSError as problem:
                if problem.errno not in {errno.EWOULDBLOCK, errno.EACCES}:
                    raise
            if time.monotonic() > deadline:
                yield warning("lock", f"{file} is held by another program: checks end with 75 meanwhile",
                              f"fuser -v {shlex.quote(str(file))}")  # fmt: skip
                return
            time.sleep(0.02)
    finally:
        os.close(fd)
    yield ok("lock", "free")


def _modes(topic: str, folder: Path, only: tuple[str, ...] = ()) -> Iterator[DoctorLine]:
    """Warnings for a folder and its files that others may look into."""
    try:
        info = folder.stat()
        names = only or tuple(sorted(os.listdir(folder)))  # noqa: PTH208
    except OSError:
        return
    if info.st_uid != os.geteuid():
        yield warning(topic, f"{folder} belongs to another user", f"ls -ld {shlex.quote(str(folder))}")
    if stat.S_IMODE(info.st_mode) & 0o077:
        text = f"{folder} has mode {stat.S_IMODE(info.st_mode):04o}: others may look into it"
        yield warning(topic, text, f"chmod 700 {shlex.quote(str(folder))}")
    for name in names:
        yield from _mode(topic, folder / name)


def _mode(topic: str, file: Path) -> Iterator[DoctorLine]:
    if file.is_file() and (mode := stat.S_IMODE(file.stat().st_mode)) & 0o077:
        text = f"{file} has mode {mode:04o}: others may read it"
        yield warning(topic, text, f"chmod 600 {shlex.quote(str(file))}")
