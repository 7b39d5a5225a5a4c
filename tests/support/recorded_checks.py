"""Builder of recorded checks (`failover-check --record`) whose pool sessions show given texts."""

from typing import Any

from failover_oneshot.analysis.replay import RecordedCheck
from failover_oneshot.model import Pane, Role, Session
from failover_oneshot.state.model import State
from tests.support.builders import at

CLEAR = "❯ go\n\n● Done.\n\n✻ Baked for 3s · done 10:00 AM\n"
VAGUE = "❯ go\n\n  ⎿  You've hit your limit\n"
RESET = "❯ go\n\n  ⎿  You've hit your session limit · resets 12:00pm (UTC)\n"


def record(seconds: float, *texts: str, **changes: Any) -> RecordedCheck:
    sessions = tuple(
        Session(
            name=f"ccl-auto-{11 + n}",
            role=Role.POOL,
            index=11 + n,
            session_id=f"${n}",
            panes=(Pane(pane_id=f"%{n}", pid=n + 1, text=text),),
        )
        for n, text in enumerate(texts)
    )
    known = {"version": 1, "zone": "UTC", "server_running": True, "state": State(active_account="main"), **changes}
    return RecordedCheck(at=at(seconds=seconds), sessions=sessions, **known)
