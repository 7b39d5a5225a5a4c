"""Try a swap with the real Claude Code: two fake accounts, a fake API on loopback, a blocked pool, one check.

    npm install --prefix DIR @anthropic-ai/claude-code
    unshare --net .venv/bin/python verification/real_client.py DIR/node_modules/.bin/claude [recreate | respawn | nudge]

It uses a throwaway home, in a network namespace that has only loopback. Not a test, because it needs a program that is
not a dependency. docs/kill-matrix.md has the last results.
"""

import json
import subprocess
import sys
import tempfile
import threading
import time
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, ClassVar

from failover_oneshot.ctl.demo.sandbox import credentials, identity
from tests.support.polling import poll
from tests.support.sandbox import Sandbox
from tests.support.tmux_server import private_server

POOL = ("ccl-auto-11", "ccl-auto-12")
NEIGHBOUR = "ccl-0"
RESET = int(time.time()) + 2 * 3600


class Api(BaseHTTPRequestHandler):
    """A fake API that answers the account backup, returns a limit for all others, and keeps each request in `seen`."""

    seen: ClassVar[list[dict[str, Any]]] = []
    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("content-length", 0)))
        if not self.path.startswith("/v1/messages") or "count_tokens" in self.path:
            return self._send(404, {"type": "error", "error": {"type": "not_found_error", "message": "none"}})
        asked = json.loads(body)
        account = self.headers.get("authorization", "").removeprefix("Bearer fake-").rpartition("-")[0]
        said = [text for m in asked["messages"] if m["role"] == "user" for text in texts(m["content"])]
        self.seen.append({"account": account, "user": said, "tools": len(asked.get("tools", []))})
        if account != "backup":
            limit = {
                "anthropic-ratelimit-unified-status": "rejected",
                "anthropic-ratelimit-unified-reset": str(RESET),
                "anthropic-ratelimit-unified-representative-claim": "five_hour",
                "anthropic-ratelimit-unified-5h-status": "rejected",
                "anthropic-ratelimit-unified-5h-reset": str(RESET),
                "x-should-retry": "false",
            }
            error = {"type": "rate_limit_error", "message": "This request would exceed your account's rate limit."}
            return self._send(429, {"type": "error", "error": error}, limit)
        return self._stream(asked["model"])

    def do_GET(self) -> None:
        self._send(404, {"type": "error", "error": {"type": "not_found_error", "message": "none"}})

    def log_message(self, *_: object) -> None:
        """Log no requests."""

    def _send(self, code: int, value: Any, headers: dict[str, str] | None = None) -> None:
        data = json.dumps(value).encode()
        self.send_response(code)
        for name, text in {"content-type": "application/json", **(headers or {})}.items():
            self.send_header(name, text)
        self.send_header("content-length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def _stream(self, model: str) -> None:
        usage = {"input_tokens": 1, "output_tokens": 1}
        message = {"id": "msg_1", "type": "message", "role": "assistant", "model": model, "content": []}
        events: list[dict[str, Any]] = [
            {"type": "message_start", "message": {**message, "stop_reason": None, "usage": usage}},
            {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}},
            {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "Answered on backup."}},
            {"type": "content_block_stop", "index": 0},
            {"type": "message_delta", "delta": {"stop_reason": "end_turn", "stop_sequence": None}, "usage": usage},
            {"type": "message_stop"},
        ]
        self.send_response(200)
        self.send_header("content-type", "text/event-stream")
        self.send_header("connection", "close")
        self.end_headers()
        for event in events:
            self.wfile.write(f"event: {event['type']}\ndata: {json.dumps(event)}\n\n".encode())
        self.close_connection = True


def texts(content: Any) -> list[str]:
    """The texts of a user's message, without the reminders that Claude Code adds."""
    parts = [content] if isinstance(content, str) else [p.get("text", "") for p in content]
    return [part.strip() for part in parts if part and not part.startswith("<")]


def prepare(sandbox: Sandbox, folders: list[Path]) -> None:
    """Make a home in which Claude Code starts without a dialog."""
    sandbox.log_in("main", generation=2)
    settings = {
        "hasCompletedOnboarding": True,
        "theme": "dark",
        "numStartups": 7,
        "oauthAccount": {**identity("main"), "organizationUuid": "fake-org"},
        "projects": {str(folder): {"hasTrustDialogAccepted": True} for folder in folders},
    }
    sandbox.write(sandbox.home / ".claude.json", settings)


def main(program: str, mode: str) -> None:
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
    api = ThreadingHTTPServer(("127.0.0.1", 0), Api)
    threading.Thread(target=api.serve_forever, daemon=True).start()
    version = subprocess.run([program, "--version"], capture_output=True, text=True, check=True).stdout.strip()
    print(f"{version}, after_swap {mode}")
    with private_server() as server, tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        sandbox = Sandbox(server, Path(folder))
        folders = [Path(folder) / name for name in (*POOL, NEIGHBOUR)]
        for place in folders:
            place.mkdir()
        prepare(sandbox, folders)
        clean = (
            f"env -i HOME={sandbox.home} PATH=/usr/bin:/bin TERM=xterm-256color LANG=C.UTF-8"
            f" ANTHROPIC_BASE_URL=http://127.0.0.1:{api.server_port} CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC=1"
            f" DISABLE_AUTOUPDATER=1 {program}"
        )
        sandbox.config["pool"]["autonomous"].update(
            after_swap=mode, command=clean, resume_command=f"{clean} --resume {{session_id}} 'go on'", nudge="go on"
        )

        def shows(name: str, words: str) -> bool:
            return words in server.screen(name)

        for name, place in zip((*POOL, NEIGHBOUR), folders, strict=True):
            server.start(name, f"{clean} 'the task of {name}'", folder=place, width=100, height=40)
        try:
            for name in (*POOL, NEIGHBOUR):
                poll(partial(shows, name, "hit your"), seconds=90)
        except AssertionError:
            print(server.screen(POOL[0]), Api.seen)
            raise
        print(f"before the check:\n{server.screen(POOL[0]).rstrip()}\n")
        before = sandbox.server.pids()
        asked = len(Api.seen)
        done = sandbox.run()
        print(f"$ failover-check   # exit {done.returncode}\n{done.stderr}{done.stdout}")
        try:
            for name in POOL:
                poll(partial(shows, name, "Answered on backup."), seconds=90)
        finally:
            for name in POOL:
                print(f"{name} after the check:\n{server.screen(name).rstrip()}\n")
        for request in Api.seen[asked:]:
            print(json.dumps(request))
        later = [r for r in Api.seen[asked:] if "go on" in r["user"]]
        assert {r["account"] for r in later} == {"backup"}
        for name in POOL:
            assert any(f"the task of {name}" in r["user"] for r in later), f"{name} lost its conversation"
        after = sandbox.server.pids()
        assert after[NEIGHBOUR] == before[NEIGHBOUR]
        assert sandbox.live()[1] == "backup@example.invalid"
        kept = json.loads((sandbox.stored("main") / ".credentials.json").read_bytes())
        assert kept["claudeAiOauth"] == credentials("main", 2)["claudeAiOauth"]
        print(f"{mode}: each pool session continued its own conversation on the other account")


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2] if len(sys.argv) > 2 else "recreate")
