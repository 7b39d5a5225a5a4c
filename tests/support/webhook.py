"""A loopback HTTP server for tests: it keeps the requests, and answers, hangs or fails as the test says."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


class Webhook:
    """The server; `got` has the path and body of each request, in order."""

    def __init__(self) -> None:
        self.got: list[tuple[str, str]] = []
        self.status = 200
        self.go_on = threading.Event()  # while it is cleared, no request is answered
        self.go_on.set()
        hook = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length", 0))).decode()
                hook.got.append((self.path, body))
                hook.go_on.wait()
                try:
                    self.send_response(hook.status)
                    self.send_header("Content-Length", "0")
                    self.end_headers()
                except OSError:  # the caller did not wait for the answer
                    return

            def log_message(self, *args: Any) -> None:
                """Log no requests."""

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.address = f"127.0.0.1:{self.server.server_port}"

    def messages(self) -> list[dict[str, Any]]:
        """The messages that apprise sent to a json:// address."""
        return [json.loads(body) for _, body in self.got]

    def paths(self) -> list[str]:
        return [path for path, _ in self.got]


@contextmanager
def webhook() -> Iterator[Webhook]:
    """A server that listens until the end of the test."""
    hook = Webhook()
    thread = threading.Thread(target=hook.server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield hook
    finally:
        hook.go_on.set()
        hook.server.shutdown()
        thread.join()
        hook.server.server_close()
