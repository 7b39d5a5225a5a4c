"""Runs recorded observations through the decision: what a configuration would have decided, and when. Pure.

Each record is decided on the state that the earlier decisions left, as in a series of real checks.
"""

from collections.abc import Callable
from datetime import datetime
from typing import Final

from msgspec import Struct
from msgspec.structs import replace

from failover_oneshot.config.model import AfterSwap, Config, Quota
from failover_oneshot.decision.decision import Decision
from failover_oneshot.decision.pipeline import assess
from failover_oneshot.model import Finding, Observation, Outcome, Reading, Restart, Role, Session
from failover_oneshot.state.model import LastCheck, State, SwapStep, seconds
from failover_oneshot.state.transitions import settle
from failover_oneshot.swap.journal import finished, intend

VERSION: Final = 1


class RecordedCheck(Struct, frozen=True, kw_only=True):
    """What one check observed and how it ended. Screens hold no secrets (`scrub`)."""

    version: int
    at: datetime
    zone: str  # the machine's time zone
    server_running: bool
    sessions: tuple[Session, ...]
    records: dict[str, Reading] = {}  # readings of the agents' own records, by pane id
    unusable: dict[str, str] = {}  # account to the reason why it is unusable
    state: State = State()  # before the check
    outcome: Outcome = Outcome.OK  # of the real check
    active_account: str | None = None  # after the real check


class Checked(Struct, frozen=True, kw_only=True):
    """What a check with the given configuration would have decided."""

    at: datetime
    decision: Decision
    findings: tuple[Finding, ...]
    state: State  # after the check, if everything it decided succeeds


Watched = Callable[[str], tuple[Role, int | None] | None]
"""The role and index of a session by its name; None if the configuration does not watch it."""


Classify = Callable[[str, str, Quota], Reading]
"""Turns a pane's text and title into a reading (`agents.base.Agent.classify`)."""


def check(config: Config, state: State, record: RecordedCheck, watched: Watched, classify: Classify) -> Checked:
    """Decide one record on ``state``."""
    sessions = tuple(
        replace(session, role=found[0], index=found[1])
        for session in record.sessions
        if (found := watched(session.name)) is not None
    )
    readings = {
        pane.pane_id: record.records.get(pane.pane_id) or classify(pane.text, pane.title, config.quota)
        for session in sessions
        for pane in session.panes
        if pane.text is not None
    }
    observation = Observation(
        at=record.at,
        server_running=record.server_running,
        sessions=sessions,
        readings=readings,
        zone=record.zone,
        unusable=record.unusable,
    )
    return step(config, state, observation)


def step(config: Config, state: State, observation: Observation) -> Checked:
    """Run one check at the observation's instant, as if everything it decides succeeded at once."""
    now = observation.at
    state, _ = settle(state, now)
    assessment = assess(config, state, now, lambda state: (state, observation))
    findings, decision = assessment.findings, assessment.decision
    state = intend(config, state, decision, findings, now)
    journal = state.swap_in_progress
    if journal is not None:
        done = _restarts(config, observation, frozenset(journal.acted_on), resume=journal.kind == "resume")
        journal = replace(journal, step=SwapStep.RECORD, restarts=done, runs=1)
        state, _ = finished(replace(state, swap_in_progress=journal), now, config.state.history)
    last = LastCheck(
        at=seconds(now),
        outcome=decision.outcome,
        blocked_pool=decision.blocked_pool,
        blocked_dedicated=decision.blocked_dedicated,
    )
    return Checked(at=now, decision=decision, findings=findings, state=replace(state, last_check=last))


def _restarts(
    config: Config, observation: Observation, blocked: frozenset[str], *, resume: bool
) -> tuple[Restart, ...]:
    done = []
    for session in observation.sessions:
        settings = config.pool.autonomous if session.role is Role.POOL else config.dedicated(session.name)
        how = settings.after_swap if settings else AfterSwap.NONE
        left_alone = session.name not in blocked and (resume or how is AfterSwap.NUDGE)
        if how is not AfterSwap.NONE and not left_alone:
            done.append(Restart(session=session.name, action=str(how), status="done"))
    return tuple(done)
