"""Pings a dead man's switch in the manner of healthchecks.io. The URL is a secret (law L4) and never repeated.

A time-out of urllib's bounds each wait of its own, not their sum, and none bounds the look-up of a name. So it works in
a daemon thread that is left behind when the time is up: an interpreter that exits does not wait for it.
"""

import logging
import threading
from urllib.parse import urlsplit, urlunsplit

from failover_oneshot import __version__
from failover_oneshot.config.model import Ping

LONGEST_BODY = 10_000  # bytes: what healthchecks.io keeps at least

log = logging.getLogger("failover")


def address(url: str, end: str) -> str:
    """The URL with ``end`` ("/fail", "/start", "") behind its path, before the query."""
    parts = urlsplit(url)
    return urlunsplit(parts._replace(path=parts.path.rstrip("/") + end if end else parts.path))


def ping(settings: Ping, end: str, body: str) -> None:
    """Send one ping with that text as its body, and return when it was answered or the time is up. Never fails."""
    answers: list[str | None] = []
    thread = threading.Thread(target=lambda: answers.append(_post(settings, end, body)), daemon=True)
    thread.start()
    thread.join(settings.timeout)
    why = answers[0] if answers else "no answer within ping.timeout"
    if why:
        log.warning("ping.url was not pinged: %s", why)


def _post(settings: Ping, end: str, body: str) -> str | None:
    """Why it did not work, in words that hold nothing of the URL; None when it did."""
    from urllib import request
    from urllib.error import HTTPError

    opener = request.OpenerDirector()  # build_opener's would open file: and ftp: too
    for handler in (
        request.ProxyHandler,
        request.HTTPHandler,
        request.HTTPSHandler,
        request.HTTPRedirectHandler,
        request.HTTPDefaultErrorHandler,
        request.HTTPErrorProcessor,
    ):
        opener.add_handler(handler())
    opener.addheaders = [("User-Agent", f"failover-oneshot/{__version__}"), ("Content-Type", "text/plain")]
    data = body.encode(errors="replace")[:LONGEST_BODY]
    try:
        with opener.open(address(settings.url or "", end), data, timeout=settings.timeout) as answer:
            answer.read(1)
    except HTTPError as error:
        return f"the server answered {error.code}"
    except Exception as error:  # many kinds, and the text of some quotes the URL
        cause = getattr(error, "reason", error)
        tls = type(cause).__name__.startswith("SSL")  # its strerror may name the host
        return (not tls and getattr(cause, "strerror", None)) or type(cause).__name__
    return None
