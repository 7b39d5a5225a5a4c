"""The files that the fake agent reads and writes: credentials, quota file, conversation and log."""

import json
import os
import re
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path


def append(path: Path, record: dict[str, object]) -> None:
    """Append one JSON line in one write, so that several fake agents can share the file."""
    with path.open("ab", buffering=0) as file:
        file.write(json.dumps(record, ensure_ascii=False).encode() + b"\n")


def replace(path: Path, value: object) -> None:
    """Write a JSON file atomically, with mode 0600."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    with open(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:  # noqa: PTH123
        json.dump(value, file, indent=1)
    temporary.replace(path)


@contextmanager
def client_lock(folder: Path) -> Iterator[None]:
    """Claude Code's advisory lock: a folder made with mkdir. A lock untouched for 60 s is removed."""
    while True:
        try:
            folder.mkdir()
            break
        except FileExistsError:
            with suppress(FileNotFoundError):
                if time.time() - folder.stat().st_mtime > 60:
                    folder.rmdir()
            time.sleep(0.02)
    try:
        yield
    finally:
        with suppress(FileNotFoundError):
            folder.rmdir()


def account_of(credentials: Path, *, refresh: bool) -> str | None:
    """The account for the next message; None without valid credentials. ``refresh``: rotate the tokens first."""
    if name := os.environ.get("FAKE_ACCOUNT"):
        return name
    try:
        if refresh:
            folder = credentials.parent
            with client_lock(folder / ".oauth_refresh.lock"), client_lock(Path(f"{folder}.lock")):
                rotate(credentials)
        token = json.loads(credentials.read_text())["claudeAiOauth"]["accessToken"]
    except (OSError, ValueError, KeyError, TypeError):
        return None
    match = re.fullmatch(r"fake-(.+)-\d+", token)
    return match[1] if match else None


def rotate(credentials: Path) -> None:
    """Increment the number of both tokens and set `expiresAt` (ms) 8 h ahead, as a token refresh does."""
    live = json.loads(credentials.read_text())
    for name in ("accessToken", "refreshToken"):
        head, _, number = live["claudeAiOauth"][name].rpartition("-")
        live["claudeAiOauth"][name] = f"{head}-{int(number) + 1}"
    live["claudeAiOauth"]["expiresAt"] = int(time.time() * 1000) + 8 * 3600 * 1000
    replace(credentials, live)


def exhausted(quota: Path | None, account: str) -> datetime | str | None:
    """Until when (UTC) the account is exhausted, `"unknown"`, or None if it is not."""
    try:
        until = json.loads(quota.read_text()).get(account) if quota else None
    except FileNotFoundError:
        return None
    if until in (None, "unknown"):
        return until
    at = datetime.fromisoformat(until).astimezone(UTC)
    return at if at > datetime.now(UTC) else None


class Records:
    """The conversation, and its files as Claude Code writes them. ``folder`` None: no files."""

    def __init__(self, folder: Path | None, identity: Path, resume: str | None, newest: bool) -> None:
        """Raise LookupError if the conversation to continue does not exist."""
        self.folder, self.identity, self.owner = folder, identity, ""
        slug = re.sub(r"[^A-Za-z0-9]", "-", str(Path.cwd()))
        self.project = folder / "projects" / slug if folder else None
        self.session = resume or str(uuid.uuid4())
        self.blocks: list[tuple[str, str]] = []
        if newest:
            found = sorted(self.project.glob("*.jsonl"), key=lambda p: p.stat().st_mtime_ns) if self.project else []
            if not found:
                raise LookupError("No conversation found to continue")
            self.session = found[-1].stem
        if resume or newest:
            self._load()

    def _load(self) -> None:
        try:
            text = (self.project / f"{self.session}.jsonl").read_text() if self.project else ""
        except FileNotFoundError:
            text = ""
        if not text:
            raise LookupError(f"No conversation found with session ID: {self.session}")
        for line in text.splitlines():
            record = json.loads(line)
            self.blocks += [(glyph, words) for glyph, words in record.get("drawn", [])]

    def add(self, role: str, drawn: list[tuple[str, str]], content: str = "", stop: str = "", **fields: object) -> None:
        """Add blocks to the screen and one record with this role to the transcript.

        ``content``: the full text, if the screen does not show all of it. ``stop``: why the assistant ended its turn.
        """
        self.blocks += drawn
        account = self._account_uuid()
        if account and account != self.owner:
            self.owner = account
            self._write({"type": "session-owner", "accountUuid": account})
        words = content or next(text for _, text in drawn if text)
        message: dict[str, object] = {"role": role}
        message["content"] = words if role == "user" else [{"type": "text", "text": words}]
        if stop:
            message["stop_reason"] = stop
        self._write({"type": role, "message": message, "drawn": drawn, **fields})

    def status(self, status: str) -> None:
        """Write to `sessions/<pid>.json` whether the agent is `idle` or `busy`."""
        if self.folder:
            facts = {"pid": os.getpid(), "sessionId": self.session, "cwd": str(Path.cwd()), "status": status}
            replace(self.folder / "sessions" / f"{os.getpid()}.json", facts)

    def close(self) -> None:
        """Remove the file of this process, as Claude Code does when it exits."""
        if self.folder:
            (self.folder / "sessions" / f"{os.getpid()}.json").unlink(missing_ok=True)

    def _write(self, record: dict[str, object]) -> None:
        if self.project:
            self.project.mkdir(parents=True, exist_ok=True)
            stamp = datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
            record |= {"uuid": str(uuid.uuid4()), "timestamp": stamp, "sessionId": self.session}
            append(self.project / f"{self.session}.jsonl", record)

    def _account_uuid(self) -> str:
        try:
            return str(json.loads(self.identity.read_text())["oauthAccount"]["accountUuid"])
        except (OSError, ValueError, KeyError, TypeError):
            return ""
