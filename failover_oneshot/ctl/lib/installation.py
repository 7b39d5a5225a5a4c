"""What most commands start with: the shared options, the configuration and the state file."""

import argparse
import logging
import os
import sys
import textwrap
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
from msgspec import Struct

from failover_oneshot.check import state_path
from failover_oneshot.config import loader
from failover_oneshot.config.loader import ConfigError
from failover_oneshot.config.model import Config
from failover_oneshot.ctl.lib.terminal import WIDTH, Terminal
from failover_oneshot.errors import EXIT_DATA
from failover_oneshot.state.model import State
from failover_oneshot.state.store import LoadedState, Origin, StateStore

log = logging.getLogger("failover")


class Installation(Struct, frozen=True):
    """One configuration and its state."""

    config: Config
    config_file: Path
    state_file: Path

    @property
    def store(self) -> StateStore:
        return StateStore(self.state_file, self.config.state.lock_timeout)

    @property
    def folder(self) -> Path:
        """The state's folder, which also holds the kept credentials."""
        return self.state_file.parent

    def peek(self, now: datetime) -> LoadedState:
        """Read the state without the lock; a corrupt file stays where it is. StoreError if it cannot be read."""
        return self.store.load(now, quarantine=False)

    def change(self, now: datetime, work: Callable[[State], State]) -> int:
        """Apply ``work`` to the state under the lock that checks take, and save the result if it differs.

        Returns the exit code: 65 if the state was corrupt without a good backup, so that a fresh one was started.
        Raises StoreError, LockTimeoutError and LockLostError.
        """
        return self.change_with_files(now, lambda state, _: work(state))

    def change_with_files(self, now: datetime, work: Callable[[State, Callable[[], None]], State]) -> int:
        """As `change`, for work on other files, too: before each change it calls its second argument.

        That raises LockLostError if the lock is no longer held.
        """
        store = self.store
        with store.locked():
            loaded = store.load(now, quarantine=True)
            for note in loaded.notes:
                log.warning("%s", note)
            state = work(loaded.state, store.verify_lock)
            if state != loaded.state or loaded.notes:
                store.save(state)
        return EXIT_DATA if loaded.origin is Origin.RESET else 0


def arguments(parser: argparse.ArgumentParser, *, json: bool = True) -> None:
    """Add the shared options: `--config`, `--state` and, unless ``json`` is false, `--json`."""
    parser.add_argument("--config", metavar="PATH", help="configuration to use (default: the first one found)")
    parser.add_argument("--state", metavar="PATH", help="state file to use (default: state.path)")
    if json:
        parser.add_argument("--json", action="store_true", help="print one JSON object")


def arguments_everywhere(parser: argparse.ArgumentParser, subcommands: Iterable[argparse.ArgumentParser]) -> None:
    """Add the shared options to a command and its subcommands: they are accepted before and after the subcommand."""
    arguments(parser)
    for each in subcommands:
        arguments(each)
        for action in each._actions:
            if action.dest in {"config", "state", "json"}:
                action.default = argparse.SUPPRESS


def explained(parser: argparse.ArgumentParser, examples: str, *paragraphs: str) -> None:
    """Set the help text below the options: examples, one per line, then paragraphs, wrapped at 80 columns."""
    lines = ["examples:", *(f"  {line.strip()}" for line in examples.strip().splitlines())]
    for paragraph in paragraphs:
        lines += ["", *textwrap.wrap(paragraph, WIDTH - 1)]
    parser.epilog = "\n".join(lines).replace("%", "%%")


def find(options: argparse.Namespace, environ: Mapping[str, str]) -> Installation:
    """The installation that the options select. Raises ConfigError."""
    file = loader.find(options.config, environ)
    config = loader.load(file, environ)
    return Installation(config, file, state_path(options.state, config, environ))


def find_or_default(options: argparse.Namespace, environ: Mapping[str, str]) -> tuple[Installation, bool]:
    """The installation, and whether it has a configuration; without a valid one, the defaults and False.

    Raises ConfigError only for an invalid configuration that `--config` names.
    """
    try:
        return find(options, environ), True
    except ConfigError as error:
        if options.config is not None:
            raise
        if not str(error).startswith("no config:"):
            log.warning("config is invalid, using the built-in rules: %s", error.problems[0])
        config = Config()
        return Installation(config, Path("failover.yaml"), state_path(options.state, config, environ)), False


def paper() -> Terminal:
    """The terminal, pipe or file that commands print to."""
    return Terminal(sys.stdout, os.environ)


def say_fact(options: argparse.Namespace, text: str, **facts: Any) -> None:
    """Print what a command did: ``text`` line by line, or with `--json` the ``facts`` as one object."""
    out = paper()
    if options.json:
        out.say(msgspec.json.encode({"version": 1, **facts}).decode())
        return
    for line in text.splitlines():
        out.say(line)


def now() -> datetime:
    """This instant, in UTC."""
    return datetime.now(UTC)


def quiet() -> None:
    """Log errors only: warnings of the observation would mix with the command's own output."""
    log.setLevel(logging.ERROR)


def told(loaded: LoadedState) -> tuple[State, tuple[str, ...], int]:
    """A loaded state, the notes to print about it, and the exit code: 65 if it was corrupt without a good backup."""
    return loaded.state, loaded.notes, EXIT_DATA if loaded.origin is Origin.RESET else 0
