"""What most commands begin with: the options that they share, the configuration, the state file."""

import argparse
import logging
import os
import sys
import textwrap
from collections.abc import Callable, Mapping
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
    def unclaimed(self) -> Path:
        """The folder for logins that belong to no account."""
        return self.state_file.parent / "unclaimed"

    def peek(self, now: datetime) -> LoadedState:
        """The state as it is, without the lock and without moving anything; StoreError when it can not be read."""
        return self.store.load(now, quarantine=False)

    def change(self, now: datetime, work: Callable[[State], State]) -> int:
        """Give the state to ``work`` under the lock that the checks take, and write what comes back, if it differs.

        The exit code: 65 when the state was corrupt and had no good backup, so that a fresh one was begun. Raises
        StoreError and LockTimeoutError.
        """
        store = self.store
        with store.locked():
            loaded = store.load(now, quarantine=True)
            for note in loaded.notes:
                log.warning("%s", note)
            state = work(loaded.state)
            if state != loaded.state or loaded.notes:
                store.save(state)
        return EXIT_DATA if loaded.origin is Origin.RESET else 0


def arguments(parser: argparse.ArgumentParser, *, json: bool = True) -> None:
    """The options that the commands share."""
    parser.add_argument("--config", metavar="PATH", help="the configuration, instead of the one that is found")
    parser.add_argument("--state", metavar="PATH", help="the state file, instead of state.path")
    if json:
        parser.add_argument("--json", action="store_true", help="print one JSON object")


def explained(parser: argparse.ArgumentParser, examples: str, *paragraphs: str) -> None:
    """What stands below the options: examples, one a line, and paragraphs, wrapped at 80 columns."""
    lines = ["examples:", *(f"  {line.strip()}" for line in examples.strip().splitlines())]
    for paragraph in paragraphs:
        lines += ["", *textwrap.wrap(paragraph, WIDTH - 1)]
    parser.epilog = "\n".join(lines).replace("%", "%%")


def find(options: argparse.Namespace, environ: Mapping[str, str]) -> Installation:
    """The installation that the options mean. Raises ConfigError."""
    file = loader.find(options.config, environ)
    config = loader.load(file, environ)
    return Installation(config, file, state_path(options.state, config, environ))


def find_or_default(options: argparse.Namespace, environ: Mapping[str, str]) -> tuple[Installation, bool]:
    """The same, and whether there is one: without any, or with a broken one that was only found, the defaults."""
    try:
        return find(options, environ), True
    except ConfigError as error:
        if options.config is not None:
            raise
        if not str(error).startswith("no config:"):
            log.warning("the built-in rules are used, because the config is wrong: %s", error.problems[0])
        config = Config()
        return Installation(config, Path("failover.yaml"), state_path(options.state, config, environ)), False


def paper() -> Terminal:
    """Where the commands print."""
    return Terminal(sys.stdout, os.environ)


def say_fact(options: argparse.Namespace, text: str, **facts: Any) -> None:
    """What a command did: as lines, or with --json as one object."""
    out = paper()
    if options.json:
        out.say(msgspec.json.encode({"version": 1, **facts}).decode())
        return
    for line in text.splitlines():
        out.say(line)


def now() -> datetime:
    return datetime.now(UTC)


def quiet() -> None:
    """Keep what the look logs out of what a command prints."""
    log.setLevel(logging.ERROR)


def told(loaded: LoadedState) -> tuple[State, tuple[str, ...], int]:
    """A state that was read, what is to be said of it, and the exit code: 65 when nothing good was left of it."""
    return loaded.state, loaded.notes, EXIT_DATA if loaded.origin is Origin.RESET else 0
