"""The recorded panes and wordings for the tests of detection, each with its true kind."""

import json
from datetime import datetime
from pathlib import Path
from typing import Any

from msgspec import Struct

from tests.support.paths import DATA, PANES


class Recording(Struct, frozen=True, kw_only=True):
    """A text, its true kind, and what is known of its reset."""

    name: str
    text: str
    truth: str  # a Kind
    title: str = ""
    limit: str | None = None
    reset_text: str | None = None
    seen_at: datetime | None = None
    resets_at: datetime | None = None  # what the fake API sent, to the minute
    cols: int = 80


def panes() -> list[Recording]:
    """The recordings in `panes/<truth>/`; the indexes add what is known of a file, but a new file needs no entry.

    `index.json` is about Claude Code 2.1.330, `versions.json` about fourteen other versions. These were recorded with a
    fake API on loopback.
    """
    rows = [row for name in ("index.json", "versions.json") for row in json.loads((PANES / name).read_text())]
    index = {row["file"]: row for row in rows}
    return [_pane(path, index.get(path.name, {})) for path in sorted(PANES.glob("*/*.txt"))]


def _pane(path: Path, row: dict[str, Any]) -> Recording:
    text = path.read_text()
    return Recording(
        name=path.stem,
        text=text,
        truth=path.parent.name,
        title=row.get("pane_title", ""),
        limit=row.get("limit"),
        reset_text=row.get("reset_text"),
        seen_at=datetime.fromisoformat(row["seen_at"]) if row.get("seen_at") else None,
        resets_at=datetime.fromisoformat(row["resets_at"]) if row.get("resets_at") else None,
        cols=row.get("cols", max(map(len, text.splitlines()))),
    )


def messages() -> list[Recording]:
    """The messages from public reports (`panes/messages.json`), with bait among them."""
    rows = json.loads((PANES / "messages.json").read_text())
    return [
        Recording(
            name=f"message {number}: {row['kind']}",
            text=row["text"],
            truth="ok" if row["truth"] == "other" else row["truth"],
            reset_text=row["reset"],
        )
        for number, row in enumerate(rows)
    ]


def wordings() -> list[Recording]:
    """The wordings in the program texts of seven versions of Claude Code, and prose that begins like them."""
    rows = json.loads((DATA / "wordings.json").read_text())
    return [
        Recording(
            name=f"wording {number}: {row['source']}", text=row["text"], truth=row["truth"], limit=row.get("limit")
        )
        for number, row in enumerate(rows)
    ]
