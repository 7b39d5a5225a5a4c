"""Builders of Claude Code's records: the lines of a conversation, and the file of a running agent."""

import json
from pathlib import Path
from typing import Any

CWD = "/srv/work.one"
SESSION = "48354fc7-cfbb-4298-b623-94a401befdfa"


def stamp(second: int) -> str:
    return f"2026-11-24T04:30:{second:02d}.032Z"


def prompt(second: int, text: object = "go on", **fields: object) -> dict[str, Any]:
    return {"type": "user", "timestamp": stamp(second), "message": {"role": "user", "content": text}, **fields}


def answer(second: int, text: str = "Done.", **fields: object) -> dict[str, Any]:
    message = {"role": "assistant", "model": "claude-opus-5-5", "content": [{"type": "text", "text": text}]}
    return {"type": "assistant", "timestamp": stamp(second), "message": message, "isSidechain": False, **fields}


def failure(second: int, text: str, error: str, status: int, **fields: object) -> dict[str, Any]:
    record = answer(second, text, isApiErrorMessage=True, error=error, apiErrorStatus=status, **fields)
    record["message"]["model"] = "<synthetic>"
    return record


def hit(second: int, name: str = "five_hour", words: str = "5-hour limit", **fields: object) -> dict[str, Any]:
    """The record of a hit, as Claude Code 2.1.330 writes it."""
    return failure(
        second,
        f"You've hit your {words} · resets 6:30am (UTC)",
        "rate_limit",
        429,
        apiError="usage_limit_reached",
        quotaLimits={"status": "rejected", "resetsAt": 1795501809, "rateLimitType": name},
        **{"uuid": f"223f292a-{second:04d}", **fields},
    )


def write(path: Path, *records: object) -> None:
    path.write_text("".join(json.dumps(record) + "\n" for record in records))


def started(pid: int) -> str:
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19]


def announce(claude_dir: Path, pid: int, **fields: object) -> Path:
    """Write the file of a running agent, as Claude Code 2.1.330 does; its path."""
    path = claude_dir / "sessions" / f"{pid}.json"
    path.parent.mkdir(exist_ok=True)
    facts = {"pid": pid, "sessionId": SESSION, "cwd": CWD, "procStart": started(pid), "status": "idle"}
    path.write_text(json.dumps({**facts, "kind": "interactive", **fields}))
    return path
