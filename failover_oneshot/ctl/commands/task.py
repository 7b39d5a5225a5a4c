"""`failoverctl task`: add, list, show, cancel and retry tasks. It needs no lock; `tasks.spool` says why."""

import argparse
import os
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec

from failover_oneshot.config import loader
from failover_oneshot.config.loader import ConfigError
from failover_oneshot.ctl.lib import installation
from failover_oneshot.ctl.lib.installation import log
from failover_oneshot.errors import EXIT_FAILED, EXIT_USAGE
from failover_oneshot.state.model import seconds
from failover_oneshot.tasks.spool import (
    DONE,
    FAILED,
    FOLDERS,
    MAX_TEXT,
    QUEUE,
    RUNNING,
    TOO_LARGE,
    Spool,
    SpoolError,
    TaskGoneError,
)
from failover_oneshot.tasks.task import TaskRecord, ended, retried
from failover_oneshot.tasks.text import decode, printable

EXAMPLES = """
    failoverctl task add prompt.md          add the text of a file
    echo 'fix it' | failoverctl task add --dir ~/src/parser --priority 5
    failoverctl task list                   running, queued and failed tasks
    failoverctl task retry 20261125T1040    a prefix of the name is enough
"""


WORDS = {
    "add": "queue a task",
    "list": "list running, queued and failed tasks",
    "show": "show the record and text of a task",
    "cancel": "cancel a queued or running task; it moves to failed/",
    "retry": "queue a failed or done task again",
}


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of this command."""
    installation.explained(
        parser, EXAMPLES, "A file that you put into the spool's queue/ is a task, too. More in docs/dispatch.md."
    )
    words = parser.add_subparsers(dest="what", metavar=" | ".join(WORDS), required=True)
    add, listing, show, cancel, retry = (
        words.add_parser(word, help=text, description=f"{text[0].upper()}{text[1:]}.") for word, text in WORDS.items()
    )
    add.add_argument("file", metavar="FILE", nargs="?", default="-", help="file with the prompt, or - (default): stdin")
    add.add_argument("--dir", metavar="WORKDIR", help="dispatch only to a session that works in this folder")
    add.add_argument(
        "--priority", metavar="N", type=int, default=0, help="tasks with a higher number go first (default: 0)"
    )
    listing.add_argument("--all", action="store_true", help="include done tasks")
    for named in (show, cancel, retry):
        named.add_argument("task", metavar="TASK", help="name of the task, or a prefix of it")
    installation.arguments_everywhere(parser, (add, listing, show, cancel, retry))


def run(options: argparse.Namespace) -> int:
    """Run the command. Returns 1 if it fails, 2 if the task does not exist. Without a spool: ConfigError (78)."""
    where = loader.find(options.config, os.environ)
    settings = loader.load(where, os.environ)
    if settings.dispatch.spool is None:
        raise ConfigError((f"{where}: dispatch.spool is not set; set it to a folder for tasks",))
    spool = Spool(settings.dispatch.spool)
    try:
        if options.what == "add":
            spool.prepare()
            return _add(spool, options)
        spool.verify()
        if options.what == "list":
            return _list(spool, options)
        return _COMMANDS[options.what](spool, options, *_find(spool, options))
    except (SpoolError, ValueError) as error:
        return _failed(str(error))
    except LookupError as error:
        return _failed(str(error.args[0]), EXIT_USAGE)
    except TaskGoneError:
        return _failed("a check has just moved the task; run `failoverctl task list`")
    except OSError as error:
        return _failed(f"cannot use {error.filename or settings.dispatch.spool}: {error.strerror}")


def _failed(why: str, code: int = EXIT_FAILED) -> int:
    log.error("%s", why)
    return code


def _add(spool: Spool, options: argparse.Namespace) -> int:
    data = _input(options.file)
    if len(data) > MAX_TEXT:
        raise ValueError(TOO_LARGE)
    decode(data)
    folder = os.path.realpath(Path(options.dir).expanduser()) if options.dir else None
    if folder and not Path(folder).is_dir():
        raise ValueError(f"--dir: {folder} is not a folder")
    now = datetime.now(UTC)
    name = f"{now:%Y%m%dT%H%M%S}-{os.urandom(4).hex()}"
    spool.add(name, data, TaskRecord(submitted_at=now, priority=options.priority, dir=folder))
    _print(options, {"task": name, "state": QUEUE}, name)
    return 0


def _input(file: str) -> bytes:
    if file == "-":
        return sys.stdin.buffer.read(MAX_TEXT + 1)
    try:
        with Path(file).open("rb") as opened:
            return opened.read(MAX_TEXT + 1)
    except OSError as error:
        raise ValueError(f"cannot read {file}: {error.strerror}") from None


def _list(spool: Spool, options: argparse.Namespace) -> int:
    rows = []
    for state in (RUNNING, QUEUE, FAILED, *([DONE] if options.all else [])):
        names = spool.names(state)
        if state == QUEUE:
            names = [task.name for task in sorted(spool.queued(datetime.now(UTC)), key=lambda task: task.rank)]
        rows += [_facts(spool, state, name) for name in names]
    if options.json:
        print(msgspec.json.encode({"version": 1, "tasks": rows}).decode())  # noqa: T201
        return 0
    now = datetime.now(UTC)
    for row in rows:
        about = [row["session"] or "", f"priority {row['priority']}" if row["priority"] else "", row["why"]]
        facts = ", ".join(fact for fact in about if fact)
        print(f"{row['state']:8}{row['task']}  {_age(row, now):>5}  {row['text']}{f'  ({facts})' if facts else ''}")  # noqa: T201
    if not rows:
        print("no tasks")  # noqa: T201
    return 0


def _age(row: dict[str, Any], now: datetime) -> str:
    at = row["finished_at"] or row["handed_out_at"] or row["submitted_at"]
    passed = max(0, int((now - at).total_seconds())) if at else 0
    size, unit = next(((s, u) for s, u in ((86400, "d"), (3600, "h"), (60, "m")) if passed >= s), (1, "s"))
    return f"{passed // size}{unit}" if at else ""


def _facts(spool: Spool, state: str, name: str) -> dict[str, Any]:
    record = spool.record(state, name)
    try:
        text = " ".join(spool.text(state, name)[:400].split())
    except (ValueError, OSError, TaskGoneError) as error:
        text = "" if isinstance(error, TaskGoneError) else f"[{error}]"
    facts: dict[str, Any] = msgspec.structs.asdict(record)
    return {"task": printable(name), "state": state, "text": printable(text[:60]), **facts}


def _show(spool: Spool, options: argparse.Namespace, state: str, name: str) -> int:
    facts = _facts(spool, state, name)
    try:
        facts["text"] = spool.text(state, name)
    except ValueError as error:
        facts["text"] = None
        facts["problem"] = str(error)
    if options.json:
        print(msgspec.json.encode({"version": 1, **facts}).decode())  # noqa: T201
        return 0
    text = facts.pop("text")
    print(msgspec.json.format(msgspec.json.encode(facts), indent=2).decode())  # noqa: T201
    print(text if text is not None else f"[{facts['problem']}]")  # noqa: T201
    return 0


def _cancel(spool: Spool, options: argparse.Namespace, state: str, name: str) -> int:
    if state not in {QUEUE, RUNNING}:
        raise ValueError(f"'{printable(name)}' is already in {state}/")
    record, now = spool.record(state, name), seconds(datetime.now(UTC))
    why = "canceled by the operator"
    if state == RUNNING:
        why += f"; {record.session or 'its session'} is not interrupted and may still finish it"
    new = spool.move(name, state, FAILED, ended(record, "cancelled", why, now))
    _print(options, {"task": printable(new), "state": FAILED, "why": why}, f"{printable(new)}: {why}")
    return 0


def _retry(spool: Spool, options: argparse.Namespace, state: str, name: str) -> int:
    if state not in {FAILED, DONE}:
        raise ValueError(f"'{printable(name)}' is in {state}/; only failed and done tasks can be retried")
    spool.text(state, name)  # a file that cannot be a task stays where it is
    new = spool.move(name, state, QUEUE, retried(spool.record(state, name), seconds(datetime.now(UTC))))
    _print(options, {"task": printable(new), "state": QUEUE}, f"{printable(new)}: queued again")
    return 0


_COMMANDS = {"show": _show, "cancel": _cancel, "retry": _retry}


def _find(spool: Spool, options: argparse.Namespace) -> tuple[str, str]:
    """The folder and name of the task with this name or prefix. Raises LookupError if there is none, or several."""
    everywhere = [(state, name) for state in FOLDERS for name in spool.names(state)]
    exact = [found for found in everywhere if found[1] == options.task]
    found = exact or [found for found in everywhere if found[1].startswith(options.task)]
    if not found:
        raise LookupError(f"no task named '{printable(options.task)}'; run `failoverctl task list --all`")
    if len(found) > 1 and options.what != "show":  # one name may be in done/ and in queue/
        fitting = {"cancel": (QUEUE, RUNNING), "retry": (FAILED, DONE)}[options.what]
        found = [one for one in found if one[0] in fitting] or found
    if len(found) > 1:
        listed = ", ".join(f"{state}/{printable(name)}" for state, name in found[:5])
        raise LookupError(f"'{printable(options.task)}' matches {listed}; give more of the name")
    return found[0]


def _print(options: argparse.Namespace, facts: dict[str, Any], line: str) -> None:
    print(msgspec.json.encode({"version": 1, **facts}).decode() if options.json else line)  # noqa: T201
