"""Method `command`: the operator's own program changes the account; exit 0 means success.

The argv comes from the config, with `{from}` and `{to}` filled in, and runs without a shell. The program must be safe
to repeat: after a killed run the next one waits for the first call to end and calls it again. For that the program
inherits a lock and holds it while it lives. A process that it leaves in the background must close its files.
"""

import os
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from selectors import EVENT_READ, DefaultSelector

from failover_oneshot.accounts.memory import Memory
from failover_oneshot.accounts.method import MethodError, Saved
from failover_oneshot.accounts.staged import why
from failover_oneshot.accounts.without_files import WithoutFiles
from failover_oneshot.config.model import Account, Config
from failover_oneshot.lib import durations
from failover_oneshot.lib.redact import redact

TAIL = 4096  # bytes kept of each output
LOCK = "swap-command.lock"


class CommandMethod(WithoutFiles):
    """Implements `SwapMethod`. The state's folder holds the lock file."""

    no_files = "method command leaves the credentials to swap.command"

    def __init__(self, config: Config, memory: Memory) -> None:
        self._argv = config.swap.command
        self._timeout = config.swap.timeout
        self._lock = memory.folder / LOCK
        self._guard = memory.guard
        self._held: int | None = None
        self._outgoing = ""

    def check(self, account: Account) -> str | None:  # noqa: ARG002
        """See `SwapMethod`."""
        if not self._argv:
            return "swap.command is empty"
        if shutil.which(self._argv[0]) is None:
            return f"swap.command: {self._argv[0]} does not exist or is not executable"
        return None

    @contextmanager
    def exclusive(self, timeout: float) -> Iterator[None]:
        """See `SwapMethod`. Waits for a program that a killed run left behind."""
        from fcntl import LOCK_EX, LOCK_NB, flock

        deadline = time.monotonic() + timeout
        try:
            self._lock.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._held = os.open(self._lock, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise MethodError(f"cannot open the lock {why(error)}") from None
        try:
            while True:
                try:
                    flock(self._held, LOCK_EX | LOCK_NB)
                    break
                except BlockingIOError:
                    if time.monotonic() >= deadline:
                        raise MethodError("swap.command of an earlier check is still running") from None
                    time.sleep(0.02)
            yield
        finally:
            os.close(self._held)
            self._held = None

    def save_back(self, outgoing: Account | None, note: Mapping[str, str]) -> Saved:  # noqa: ARG002
        """See `SwapMethod`."""
        self._outgoing = outgoing.name if outgoing else ""
        return Saved("nothing to save: method command leaves that to swap.command")

    def prepare(self, incoming: Account) -> dict[str, str]:
        """See `SwapMethod`. The note: `from` and `to`."""
        return {"from": self._outgoing, "to": incoming.name}

    def install(self, incoming: Account, note: Mapping[str, str]) -> None:
        """See `SwapMethod`. Runs the program; the error ends with the last line that it wrote."""
        if problem := self.check(incoming):
            raise MethodError(problem)
        self._guard()
        values = {"{from}": note.get("from", ""), "{to}": incoming.name}
        self._run([_filled(word, values) for word in self._argv])

    def verify(self, incoming: Account) -> None:
        """See `SwapMethod`. Exit 0 was the proof."""

    def undo(self, outgoing: Account, note: Mapping[str, str]) -> None:
        """See `SwapMethod`. A program that fails must have rolled back its own changes."""

    def environment(self, account: Account) -> dict[str, str]:  # noqa: ARG002
        """See `SwapMethod`."""
        return {}

    def _run(self, argv: list[str]) -> None:
        try:
            process = subprocess.Popen(
                argv,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                start_new_session=True,
                pass_fds=() if self._held is None else (self._held,),
            )
        except OSError as error:
            raise MethodError(f"cannot start swap.command: {why(error)}") from None
        with process:
            try:
                said = _read(process, self._timeout)
            except BaseException:
                with suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGKILL)
                raise
        if process.returncode:
            how = f"exit status {process.returncode}" if process.returncode > 0 else f"signal {-process.returncode}"
            raise MethodError(f"swap.command failed ({how}){': ' + said if said else ''}")


def _filled(word: str, values: Mapping[str, str]) -> str:
    """The word with its placeholders filled in. One pass, so that a placeholder in a value stays."""
    import re

    return re.sub(r"\{(?:from|to)\}", lambda match: values[match[0]], word)


def _read(process: "subprocess.Popen[bytes]", timeout: float) -> str:
    """Wait for the program to end; its last line of stderr, else of stdout, redacted."""
    deadline = time.monotonic() + timeout
    tails = {pipe.fileno(): b"" for pipe in (process.stderr, process.stdout) if pipe is not None}
    with DefaultSelector() as selector:
        for pipe in tails:
            selector.register(pipe, EVENT_READ)
        while True:
            ended = process.poll() is not None  # before the last read, so that no output is missed
            for key, _ in selector.select(0 if ended else 0.05):
                if chunk := os.read(key.fd, 1 << 16):
                    tails[key.fd] = (tails[key.fd] + chunk)[-TAIL:]
                else:
                    selector.unregister(key.fd)
            if ended:
                break
            if time.monotonic() >= deadline:
                limit = durations.format(timeout)
                raise MethodError(f"swap.command did not finish within {limit} (swap.timeout); killed")
            if not selector.get_map():
                time.sleep(0.01)
    for tail in tails.values():
        # the last line of JSON is a lone bracket, which says nothing
        lines = [line for line in tail.decode(errors="replace").split("\n") if any(c.isalnum() for c in line)]
        if lines:
            return redact(" ".join("".join(c if c.isprintable() else " " for c in lines[-1]).split()))[:200]
    return ""
