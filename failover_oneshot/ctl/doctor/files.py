"""What the doctor reads from files: configuration, stores, live credentials, state and lock. Read-only."""

import errno
import fcntl
import os
import shlex
import stat
import time
from collections.abc import Iterator, Sequence
from datetime import datetime
from pathlib import Path

from failover_oneshot.accounts import registry
from failover_oneshot.config.linked import clashes, kept_folders
from failover_oneshot.config.model import Config, Method
from failover_oneshot.ctl.doctor import credentials, rules
from failover_oneshot.ctl.doctor.rules import DoctorLine, error, ok, warning
from failover_oneshot.lib import procfs
from failover_oneshot.lib.plural import plural
from failover_oneshot.state.model import State
from failover_oneshot.state.store import Origin, StateStore, StoreError

PATIENCE = 2.0  # seconds: a check holds the lock for about 20 ms


def config_mode(file: Path, settings: Config) -> Iterator[DoctorLine]:
    """A configuration that sets account variables may contain secrets, and must be private."""
    mode = stat.S_IMODE(file.stat().st_mode)
    if any(account.env for account in settings.accounts) and mode & 0o077:
        text = f"{file} has mode {mode:04o} and sets account variables (env); other users can read them"
        yield warning("config", text, f"chmod 600 {shlex.quote(str(file))}")


def accounts_lines(settings: Config, path: Path, state: State | None) -> Iterator[DoctorLine]:
    """Each account's store, the account that the live credentials belong to, and unclaimed credentials."""
    state = state or State()
    method = registry.method(settings, path.parent, state)
    enabled = [account for account in settings.accounts if account.enabled]
    if not settings.accounts:
        yield warning(
            "accounts", "no accounts configured; checks only observe", "add them under `accounts` in the config"
        )
        return
    captured = settings.swap.method in {Method.CLAUDE, Method.FILES}
    live = method.live_account()
    if len(enabled) == 1:
        yield warning("accounts", f"only {enabled[0].name} is enabled; there is no account to swap to",
                      "add or enable another account in the config")  # fmt: skip
    for account in settings.accounts:
        problem = method.check(account)
        if not problem:
            yield ok("accounts", f"{account.name}: usable{'' if account.enabled else ', disabled'}")
        elif account.name == live and captured:
            text = f"{account.name} (live): {problem}; the next swap saves the live credentials there"
            yield warning("accounts", text, f"failoverctl accounts add {account.name}")
        else:
            fix = f"log in as {account.name}, then run `failoverctl accounts add {account.name}`"
            yield (error if account.enabled else warning)("accounts", f"{account.name}: {problem}",
                                                          fix if captured else "correct it in the config")  # fmt: skip
        if account.store:
            yield from _modes("accounts", Path(account.store))
    if captured:
        yield from credentials.live(settings, method, state)
    yield from credentials.unclaimed(path.parent, state)


def linked(settings: Config, path: Path) -> Iterator[DoctorLine]:
    """Credential files that are one file under two names; the kept copies beside the state are compared, too."""
    for clash in clashes(settings, kept_folders(path.parent)):
        yield error("accounts", clash.text, clash.remedy)


def permissions(settings: Config, path: Path) -> Iterator[DoctorLine]:
    """Whether this user can write the live credentials and the state, and no other user can read them."""
    lines = list(_modes("files", path.parent, only=(path.name, f"{path.name}.bak")))
    live: list[Path] = []
    if not settings.accounts:
        pass  # no account, no swap
    elif settings.swap.method is Method.CLAUDE:
        live = [Path(settings.swap.claude_dir, ".credentials.json"), Path(settings.swap.claude_json)]
    elif settings.swap.method is Method.FILES:
        live = [Path(file) for file in settings.swap.files]
    for folder in sorted({Path(os.path.realpath(file)).parent for file in live}):
        if not os.access(folder, os.W_OK | os.X_OK):
            text = f"cannot write to {folder}; no swap is possible"
            fix = f"ls -ld {shlex.quote(str(folder))}; if it does not exist, log in with the agent once"
            lines.append(error("files", text, fix))
    lines += _mounts(live)
    for file in live:
        if str(file) != settings.swap.claude_json:
            lines += _mode("files", file)
    yield from lines or [ok("files", "the live credentials and the state are writable and private")]


def _mounts(live: Sequence[Path]) -> Iterator[DoctorLine]:
    """Errors about live files that are mounted on their own, as containers do: no rename can replace them."""
    mounted = procfs.mount_points()
    for file in map(os.path.realpath, live):
        if file in mounted:
            text = f"{file} is a mount of its own and cannot be replaced; no swap is possible"
            yield error("files", text, f"mount its folder {shlex.quote(os.path.dirname(file))} instead")  # noqa: PTH120


def outputs(settings: Config) -> Iterator[DoctorLine]:
    """Whether notices can be sent, the metrics file written and tasks dispatched."""
    from importlib.util import find_spec

    from failover_oneshot.monitoring import apprise

    try:
        targets = apprise.targets(settings.notify)
    except apprise.NotifyError as problem:
        yield error("notify", str(problem), "correct the file, or remove notify.urls_file from the config")
        targets = ()
    if targets and find_spec("apprise") is None:
        yield error("notify", f"cannot notify {plural(len(targets), 'target')}: apprise is not installed",
                    "pipx inject failover-oneshot apprise")  # fmt: skip
    elif targets:
        yield ok("notify", f"{plural(len(targets), 'target')}, through apprise")
    for key, name in (("metrics.textfile", settings.metrics.textfile), ("dispatch.spool", settings.dispatch.spool)):
        if name is None:
            continue
        folder = Path(name).parent
        while key == "dispatch.spool" and not folder.exists():  # a check creates it when it needs it
            folder = folder.parent
        if not os.access(folder, os.W_OK | os.X_OK):
            why, fix = f"cannot write to {folder}", "ls -ld"
            if not folder.exists():
                why, fix = f"{folder} does not exist", "mkdir -p"
            yield error(key.partition(".")[0], f"{key}: {why}", f"{fix} {shlex.quote(str(folder))}")


def state(settings: Config, path: Path, now: datetime) -> tuple[State | None, list[DoctorLine]]:
    """The state, None if it cannot be read or does not exist yet, and the findings about it."""
    try:
        loaded = StateStore(path, settings.state.lock_timeout).load(now, quarantine=False)
    except StoreError as problem:
        return None, [error("state", str(problem), f"ls -l {shlex.quote(str(path.parent))}; failoverctl --version")]
    if loaded.origin is Origin.FRESH:
        return None, [ok("state", f"{path} does not exist yet; the first check creates it")]
    lines = []
    for note in loaded.notes:
        kind = error if loaded.origin is Origin.RESET else warning
        lines.append(kind("state", note, "failover-check (keeps the corrupt file under another name and continues)"))
    if not lines:
        active, events = loaded.state.active_account or "none", plural(len(loaded.state.history), "event")
        lines.append(ok("state", f"{path}: active account {active}, {events} in the history"))
    return loaded.state, [*lines, *rules.state_lines(settings, loaded.state, now)]


def lock(path: Path, timeout: float) -> Iterator[DoctorLine]:
    """Whether the lock beside the state is free. Waits for a running check to end, without disturbing it."""
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
                yield warning("lock", f"{file} is held by another program; checks exit with 75 until it is released",
                              f"fuser -v {shlex.quote(str(file))}")  # fmt: skip
                return
            time.sleep(0.02)
    finally:
        os.close(fd)
    yield ok("lock", "free")


def _modes(topic: str, folder: Path, only: tuple[str, ...] = ()) -> Iterator[DoctorLine]:
    """Warnings about a folder and its files that other users own or can read."""
    try:
        info = folder.stat()
        names = only or tuple(sorted(os.listdir(folder)))  # noqa: PTH208
    except OSError:
        return
    if info.st_uid != os.geteuid():
        text = f"{folder} belongs to another user (uid {info.st_uid})"
        yield warning(topic, text, f"ls -ld {shlex.quote(str(folder))}")
    if stat.S_IMODE(info.st_mode) & 0o077:
        text = f"{folder} has mode {stat.S_IMODE(info.st_mode):04o}; other users can list or open it"
        yield warning(topic, text, f"chmod 700 {shlex.quote(str(folder))}")
    for name in names:
        yield from _mode(topic, folder / name)


def _mode(topic: str, file: Path) -> Iterator[DoctorLine]:
    if file.is_file() and (mode := stat.S_IMODE(file.stat().st_mode)) & 0o077:
        text = f"{file} has mode {mode:04o}; other users can read it"
        yield warning(topic, text, f"chmod 600 {shlex.quote(str(file))}")
