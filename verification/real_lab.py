"""What a trial with the real Claude Code needs: a home without dialogs, and a fake API on loopback.

The fake API stands in for `api.anthropic.com` and `platform.claude.com`. Claude Code reaches it through `HTTPS_PROXY`,
with a certificate of the trial, and so refreshes its tokens as it always does. The trial has to run in a network
namespace that has only loopback (`unshare --net`).
"""

import json
import socket
import ssl
import subprocess
import threading
import time
from collections.abc import Iterable, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from failover_oneshot.ctl.demo.sandbox import identity, refresh_token
from tests.support.sandbox import Sandbox

LIFETIME = 8 * 3600  # seconds for which an access token is good
SCOPES = ("user:inference", "user:profile")
ORGANIZATION = "fake-org"
PATIENCE = 9.0  # seconds; Claude Code gives a request for a profile up after 10
HOSTS = ("api.anthropic.com", "platform.claude.com")
NOT_FOUND = {"type": "error", "error": {"type": "not_found_error", "message": "none"}}


class FakeApi(ThreadingHTTPServer):
    """Issues tokens, returns a limit for the accounts in `limited`, and answers all others.

    Each message request is kept in `seen`. While `profiles` is not set, nobody learns the profile of an account in
    `limited`. `newest` has the number of each account's newest refresh token; a refresh token works once, and one that
    was used before is refused and kept in `refused`.
    """

    daemon_threads = True
    request_queue_size = 64

    def __init__(self, folder: Path, newest: Mapping[str, int], limited: Iterable[str]) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.newest, self.limited = dict(newest), set(limited)
        self.seen: list[dict[str, Any]] = []
        self.refused: list[str] = []
        self.reset = int(time.time()) + 2 * 3600
        self.profiles = threading.Event()
        self.profiles.set()
        self.waiting = 0  # requests that have met a closed `profiles`
        self.lock = threading.Lock()
        self.certificate = folder / "certificate.pem"
        self.tls = _tls(self.certificate)
        threading.Thread(target=self.serve_forever, daemon=True).start()

    def refresh(self, token: str) -> tuple[str, int] | None:
        """The account and the number of the tokens that replace this refresh token; None if it was used before."""
        account, _, number = token.removeprefix("fake-").rsplit("-", 2)
        with self.lock:
            if self.newest.get(account) != int(number):
                self.refused.append(token)
                return None
            self.newest[account] += 1
            return account, self.newest[account]


class _Handler(BaseHTTPRequestHandler):
    server: FakeApi
    protocol_version = "HTTP/1.1"

    def do_CONNECT(self) -> None:
        """Be the server that the agent asks its proxy for."""
        self.close_connection = True
        self.send_response(200)
        self.end_headers()
        try:
            with self.server.tls.wrap_socket(self.connection, server_side=True) as connection:
                _Handler(connection, self.client_address, self.server)
        except OSError:
            pass  # another host, whose certificate the agent misses, or the agent has ended

    def do_GET(self) -> None:
        if self.path != "/api/oauth/profile":
            return self._send(404, NOT_FOUND)
        account = self._account()
        if account in self.server.limited and not self.server.profiles.is_set():
            self.server.waiting += 1
            self.server.profiles.wait(PATIENCE)
        return self._send(200, profile(account), {"request-id": "req_fake"})

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("content-length", 0)))
        if self.path == "/v1/oauth/token":
            return self._refresh(json.loads(body)["refresh_token"])
        if not self.path.startswith("/v1/messages") or "count_tokens" in self.path:
            return self._send(404, NOT_FOUND)
        asked = json.loads(body)
        account = self._account()
        said = [text for m in asked["messages"] if m["role"] == "user" for text in texts(m["content"])]
        self.server.seen.append({"account": account, "user": said, "tools": len(asked.get("tools", []))})
        return self._limit() if account in self.server.limited else self._answer(asked["model"], account)

    def log_message(self, *_: object) -> None:
        """Log no requests."""

    def _account(self) -> str:
        """The account of the request's access token."""
        return self.headers.get("authorization", "").removeprefix("Bearer fake-").rpartition("-")[0]

    def _refresh(self, token: str) -> None:
        new = self.server.refresh(token)
        if new is None:
            return self._send(
                400, {"error": "invalid_grant", "error_description": "Refresh token not found or invalid"}
            )
        account, number = new
        tokens = {"access_token": f"fake-{account}-{number}", "refresh_token": refresh_token(account, number)}
        return self._send(200, {**tokens, "expires_in": LIFETIME, "scope": " ".join(SCOPES), "token_type": "Bearer"})

    def _limit(self) -> None:
        limit = {
            "anthropic-ratelimit-unified-status": "rejected",
            "anthropic-ratelimit-unified-reset": str(self.server.reset),
            "anthropic-ratelimit-unified-representative-claim": "five_hour",
            "anthropic-ratelimit-unified-5h-status": "rejected",
            "anthropic-ratelimit-unified-5h-reset": str(self.server.reset),
            "x-should-retry": "false",
        }
        error = {"type": "rate_limit_error", "message": "This request would exceed your account's rate limit."}
        self._send(429, {"type": "error", "error": error}, limit)

    def _answer(self, model: str, account: str) -> None:
        usage = {"input_tokens": 1, "output_tokens": 1}
        message = {"id": "msg_1", "type": "message", "role": "assistant", "model": model, "content": []}
        delta = {"type": "text_delta", "text": f"Answered on {account}."}
        events: list[dict[str, Any]] = [
            {"type": "message_start", "message": {**message, "stop_reason": None, "usage": usage}},
            {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}},
            {"type": "content_block_delta", "index": 0, "delta": delta},
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

    def _send(self, code: int, value: Any, headers: Mapping[str, str] | None = None) -> None:
        data = json.dumps(value).encode()
        self.send_response(code)
        for name, text in {"content-type": "application/json", **(headers or {})}.items():
            self.send_header(name, text)
        self.send_header("content-length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)


def texts(content: Any) -> list[str]:
    """The texts of a user's message, without the reminders that Claude Code adds."""
    parts = [content] if isinstance(content, str) else [p.get("text", "") for p in content]
    return [part.strip() for part in parts if part and not part.startswith("<")]


def profile(account: str) -> dict[str, Any]:
    """What the API says about the owner of a token; Claude Code writes it to `oauthAccount`."""
    named = identity(account)
    return {
        "account": {"uuid": named["accountUuid"], "email": named["emailAddress"], "created_at": "2026-01-01T00:00:00Z"},
        "organization": {
            "uuid": ORGANIZATION,
            "organization_type": "claude_max",
            "rate_limit_tier": "default_claude_max_5x",
            "billing_type": "stripe_subscription",
            "subscription_created_at": "2026-01-01T00:00:00Z",
        },
    }


def only_loopback() -> None:
    """Set loopback up; exit if the network namespace has any other interface."""
    others = [name for _, name in socket.if_nameindex() if name != "lo"]
    if others:
        raise SystemExit(f"this network namespace has {', '.join(others)}; run it with `unshare --net`")
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)


def version(program: str) -> str:
    """The version that Claude Code prints."""
    return subprocess.run([program, "--version"], capture_output=True, text=True, check=True).stdout.strip()


def command(program: str, sandbox: Sandbox, api: FakeApi) -> str:
    """The shell command that starts Claude Code in the sandbox's home and in no other environment."""
    environ = {
        "HOME": sandbox.home,
        "PATH": "/usr/bin:/bin",
        "TERM": "xterm-256color",
        "LANG": "C.UTF-8",
        "HTTPS_PROXY": f"http://127.0.0.1:{api.server_port}",
        "NODE_EXTRA_CA_CERTS": api.certificate,
        "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC": 1,
        "DISABLE_AUTOUPDATER": 1,
    }
    return f"env -i {' '.join(f'{name}={value}' for name, value in environ.items())} {program}"


def prepare(sandbox: Sandbox, account: str, generation: int, folders: Iterable[Path]) -> None:
    """Log the account in, in a home in which Claude Code starts without a dialog in these folders."""
    sandbox.log_in(account, generation)
    settings = {
        "hasCompletedOnboarding": True,
        "theme": "dark",
        "numStartups": 7,
        "oauthAccount": {**identity(account), "organizationUuid": ORGANIZATION},
        "projects": {str(folder): {"hasTrustDialogAccepted": True} for folder in folders},
    }
    sandbox.write(sandbox.settings, settings)


def _tls(certificate: Path) -> ssl.SSLContext:
    """A server's context with a new certificate for HOSTS, written to that file."""
    names = ",".join(f"DNS:{host}" for host in HOSTS)
    made = ["-newkey", "rsa:2048", "-nodes", "-keyout", "-", "-days", "2", "-subj", "/CN=fake"]
    done = subprocess.run(
        ["openssl", "req", "-x509", *made, "-addext", f"subjectAltName={names}"], capture_output=True, check=True
    )
    certificate.write_bytes(done.stdout)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    return context
