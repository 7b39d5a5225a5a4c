"""`failoverctl replay`: decide recorded checks again, with any configuration."""

import argparse
import os
from collections import Counter
from collections.abc import Iterable, Iterator
from datetime import datetime
from functools import lru_cache
from pathlib import Path
from typing import Any

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from failover_oneshot.agents import registry
from failover_oneshot.analysis import recorder
from failover_oneshot.analysis.replay import Checked, RecordedCheck, Watched, check
from failover_oneshot.config.model import Account, Config
from failover_oneshot.ctl.lib import installation
from failover_oneshot.ctl.lib.installation import log
from failover_oneshot.ctl.lib.terminal import OUTCOMES, Terminal
from failover_oneshot.ctl.lib.times import span
from failover_oneshot.decision.decision import Action
from failover_oneshot.errors import EXIT_FAILED
from failover_oneshot.lib.plural import plural
from failover_oneshot.model import Outcome, Role
from failover_oneshot.state.model import State, stamp
from failover_oneshot.tmux.client import index_in_range

SHOWN_PROBLEMS = 5


class ReplayEvent(Struct, frozen=True, kw_only=True):
    """One replayed check; printed when its outcome changed."""

    at: datetime
    outcome: Outcome
    reason: str
    active_account: str | None  # before
    to: str | None  # of a swap
    recorded: Outcome  # how the real check ended
    differs: bool


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments and the epilog."""
    parser.add_argument(
        "file", metavar="FILE", nargs="+", help="recording, or a folder written by failover-check --record"
    )
    installation.arguments(parser)
    parser.add_argument("-v", "--verbose", action="store_true", help="print every check, not only changes")
    installation.explained(
        parser,
        """
        failover-check --record ~/recorded          record a check
        failoverctl replay ~/recorded --config try.yaml
        cat ~/recorded/*.json.gz > all.jsonl.gz     join many recordings in one file
        """,
        "The replay starts with the state of the first record. Each check then continues from the result of the one "
        "before. After the first difference (≠) the recorded panes no longer match the replayed decisions, so later "
        "results are only a hint.",
        "exit codes: 0; 1 nothing to replay; 78 configuration missing or wrong",
    )


def run(options: argparse.Namespace) -> int:
    """Replay all records; 1 when there is none."""
    installation.quiet()
    site, _ = installation.find_or_default(options, os.environ)
    wrong: list[str] = []
    try:
        records = sorted(recorder.read([Path(name) for name in options.file], wrong), key=lambda record: record.at)
    except (OSError, ValueError) as error:
        log.error("cannot read the recording: %s", error)
        return EXIT_FAILED
    for problem in wrong[:SHOWN_PROBLEMS]:
        log.error("%s", problem)
    if len(wrong) > SHOWN_PROBLEMS:
        log.error("%s could not be read", plural(len(wrong) - SHOWN_PROBLEMS, "more record"))
    if not records:
        log.error("no records in %s; run `failover-check --record DIR` to record some", ", ".join(options.file))
        return EXIT_FAILED
    config = _with_accounts(site.config, records)
    out = installation.paper()
    unwatched = {s.name for record in records for s in record.sessions if _watched(config)(s.name) is None}
    if unwatched:
        log.error(
            "left out, because this config does not watch them: %s",
            ", ".join(sorted(unwatched)[:SHOWN_PROBLEMS]),
        )
    events: list[ReplayEvent] = []
    outcomes: Counter[str] = Counter()
    for record, checked, event in _events(config, records):
        outcomes[checked.decision.outcome] += 1
        if options.verbose or event.differs or _changed(events, event):
            events.append(event)
            if not options.json:
                _print(event, out)
        last = record
    _summary(records[0], last, events, outcomes, out, options)
    return 0


def _with_accounts(config: Config, records: list[RecordedCheck]) -> Config:
    """The config; one without accounts gets the accounts of the recording, so that a swap has a target."""
    if config.accounts:
        return config
    names: dict[str, None] = {}
    for record in records:
        swap = record.state.last_swap
        found = (record.state.active_account, *record.state.accounts, *record.unusable, record.active_account)
        names.update(dict.fromkeys(n for n in (*found, swap.from_ if swap else None, swap.to if swap else None) if n))
    return replace(config, accounts=tuple(Account(name=name) for name in names))


def _watched(config: Config) -> Watched:
    def watched(name: str) -> tuple[Role, int | None] | None:
        index = index_in_range(config.pool.autonomous, name)
        if index is not None:
            return Role.POOL, index
        return (Role.DEDICATED, None) if config.dedicated(name) else None

    return watched


def _events(config: Config, records: Iterable[RecordedCheck]) -> Iterator[tuple[RecordedCheck, Checked, ReplayEvent]]:
    state: State | None = None
    watched = _watched(config)
    classify = lru_cache(maxsize=4096)(
        registry.of_the_pool(config).classify
    )  # most panes stay the same over many checks
    for record in records:
        state = record.state if state is None else state
        if config.account(state.active_account) is None and config.accounts:
            state = replace(state, active_account=config.accounts[0].name)
        checked = check(config, state, record, watched, classify)
        decision = checked.decision
        event = ReplayEvent(
            at=record.at,
            outcome=decision.outcome,
            reason=decision.reason,
            active_account=state.active_account,
            to=decision.candidates[0] if decision.action is Action.SWAP else None,
            recorded=record.outcome,
            differs=decision.outcome != record.outcome,
        )
        state = checked.state
        yield record, checked, event


def _changed(events: list[ReplayEvent], event: ReplayEvent) -> bool:
    """Whether to print the event: it acted, or its outcome differs from the one before."""
    return not events or event.outcome in {Outcome.SWAPPED, Outcome.RESUMED} or events[-1].outcome != event.outcome


def _print(event: ReplayEvent, out: Terminal) -> None:
    move = f"  {event.active_account or 'no account'} → {event.to}" if event.to else ""
    real = out.style(f"  ≠ recorded: {event.recorded}", "warn") if event.differs else ""
    out.say(f"{stamp(event.at)}  {out.style(str(event.outcome), OUTCOMES.get(event.outcome, ''))}{move}{real}")
    out.paragraph(event.reason, first="    ", rest="    ", style="dim")


def _summary(
    first: RecordedCheck,
    last: RecordedCheck,
    events: list[ReplayEvent],
    outcomes: Counter[str],
    out: Terminal,
    options: argparse.Namespace,
) -> None:
    swaps = [event for event in events if event.to]
    differences = sum(event.differs for event in events)
    checks = sum(outcomes.values())
    facts: dict[str, Any] = {
        "version": 1,
        "checks": checks,
        "from": first.at,
        "until": last.at,
        "outcomes": dict(outcomes),
        "swaps": len(swaps),
        "differences": differences,
        "events": events,
    }
    if options.json:
        out.say(msgspec.json.encode(facts).decode())
        return
    time = span((last.at - first.at).total_seconds())
    told = ", ".join(f"{count} {outcome}" for outcome, count in outcomes.most_common())
    out.say()
    out.fact("Replayed", f"{plural(checks, 'check')} over {time}: {told}")
    out.fact("Swaps", ", ".join(f"{stamp(s.at)} to {s.to}" for s in swaps[:10]) or "none")
    out.fact(
        "Differences",
        f"{plural(differences, 'check')} ended with another outcome than recorded" if differences else "none",
    )
