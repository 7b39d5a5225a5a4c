"""How each session of the pool stands: free for a task, busy, blocked, dead, or not to be typed into. Reads only."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path

from failover_oneshot.agents import registry
from failover_oneshot.agents.base import Agent, Prompt, PromptState
from failover_oneshot.config.model import Config
from failover_oneshot.lib import procfs
from failover_oneshot.model import AgentProcess, Finding, Kind, Observation, Pane, Session
from failover_oneshot.pool import lifecycle, restart
from failover_oneshot.pool.typist import obstacle
from failover_oneshot.state.model import SessionMemory, State
from failover_oneshot.tasks import task
from failover_oneshot.tasks.task import Place, Record, Sighting, Slot, Stand, Step


class Stands:
    """The pool as one check saw it. ``slots``: one for each session that exists, in index order."""

    def __init__(
        self,
        config: Config,
        state: State,
        observation: Observation,
        findings: Sequence[Finding],
        now: datetime,
        proc: Path = procfs.PROC,
    ) -> None:
        self.state, self.observation, self.now, self.proc = state, observation, now, proc
        self.agent = registry.of_the_pool(config)
        self.findings = {finding.name: finding for finding in findings}
        self.panes = by_id(observation.sessions)
        sessions = lifecycle.of_the_pool(observation.sessions)
        self.dead = lifecycle.dead_ones(config, sessions, proc)
        self.slots = [self._slot(session) for session in sessions]

    def slot(self, session: str | None) -> Slot | None:
        """The slot of that session; None when it does not exist."""
        return next((slot for slot in self.slots if slot.session == session), None)

    def _slot(self, session: Session) -> Slot:
        pane = restart.agent_pane(session)
        client = self.observation.agents.get(pane.pane_id)
        held = self.state.sessions.get(session.name, SessionMemory()).held
        if session.name in self.dead:
            stand, why = Stand.DEAD, self.dead[session.name]
        else:
            stand, why = _stand(self.agent, pane, self.findings.get(session.name), client, self.proc)
            if stand is Stand.FREE and held and task.on_hold(held.at, self.now):
                stand, why = Stand.HELD, held.reason
        place = Place(
            server_pid=session.server_pid,
            pane_id=pane.pane_id,
            pane_pid=pane.pid,
            client_pid=client.pid if client else 0,
            conversation=client.session_id if client else "",
        )
        path = pane.current_path or pane.path
        return Slot(session=session.name, stand=stand, why=why, path=path, place=place)

    def sighting(self, record: Record, text: str) -> Sighting:
        """What is seen of a task that was handed out."""
        slot, place = self.slot(record.session), record.place
        pane = still_there(place, self.panes) if place else None
        client = self.observation.agents.get(slot.place.pane_id) if slot and slot.place else None
        alive = pane is not None and slot is not None and slot.stand is not Stand.DEAD
        if place and place.client_pid:
            replaced = client is not None and client.pid != place.client_pid
            alive = alive and not replaced and not procfs.ended(place.client_pid, self.proc)
        word, prompt = PromptState.NONE, None
        if not (alive and slot and slot.stand is Stand.BUSY and record.step is Step.SENT):  # it works: nothing to ask
            if place and place.transcript:
                word = self.agent.prompt_state(place.transcript, place.offset, text)
            prompt = shown_prompt(self.agent, pane) if pane else None
        finding = self.findings.get(record.session or "")
        shown = prompt is not None and prompt.shows(text, record.before)
        return Sighting(
            alive=alive,
            stand=slot.stand if slot else Stand.DEAD,
            word=word,
            hit=bool(finding and finding.blocked),
            shown=shown,
            answered=prompt is not None and shown and prompt.answered,
            drafted=prompt is not None and prompt.holds(text),
            successor=client.session_id if client else "",
            startable=slot is not None and slot.stand is not Stand.DEAD,
            swapped=task.was_restarted(self.state.history, record),
        )


def _stand(
    agent: Agent, pane: Pane, finding: Finding | None, client: AgentProcess | None, proc: Path
) -> tuple[Stand, str]:
    if finding is None or pane.text is None:
        return Stand.HELD, finding.error or "it can't be read" if finding else "it can't be read"
    if finding.blocked and not finding.stale:
        return Stand.BLOCKED, finding.snippet or str(finding.kind)
    if finding.kind is Kind.AUTH:
        return Stand.BLOCKED, finding.snippet or "it has no login"
    if finding.busy or (client and client.busy):
        return Stand.BUSY, ""
    why = typing_obstacle(pane, shown_prompt(agent, pane), proc)
    if why:
        return {"it works": Stand.BUSY, "it waits": Stand.BLOCKED}.get(why, Stand.HELD), why
    if client and client.status not in {"", "idle"}:
        return Stand.HELD, f"the client says that it is {client.status}"
    return Stand.FREE, ""


def shown_prompt(agent: Agent, pane: Pane) -> Prompt:
    """The prompt that a captured pane shows."""
    return agent.prompt(pane.text or "", pane.title)


def typing_obstacle(pane: Pane, prompt: Prompt, proc: Path = procfs.PROC) -> str:
    """What forbids to type a task into this pane; "" at an agent's empty, idle prompt."""
    if pane.dead or pane.text is None:
        return "it can't be read"
    if pane.mode:
        return f"the pane is in {pane.mode}"
    if lifecycle.at_a_shell_prompt(pane, proc) is not False:
        return f"a shell ({pane.command}) is in front"
    return obstacle(prompt)


def by_id(sessions: Sequence[Session]) -> Mapping[str, tuple[Session, Pane]]:
    """Each pane with its session, by the pane's id."""
    return {pane.pane_id: (session, pane) for session in sessions for pane in session.panes}


def still_there(place: Place, found: Mapping[str, tuple[Session, Pane]]) -> Pane | None:
    """The pane of a place, as long as the process that tmux started in it is the same; else None."""
    session, pane = found.get(place.pane_id, (None, None))
    if session is None or pane is None or pane.dead:
        return None
    return pane if (session.server_pid, pane.pid) == (place.server_pid, place.pane_pid) else None
