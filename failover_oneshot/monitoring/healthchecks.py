"""Pings a dead man's switch with the API of healthchecks.io. The URL is a secret (law L4) and never printed.

The timeout of urllib bounds each wait but not their sum, and does not bound name resolution. So the request runs in a
daemon thread, which is abandoned when `ping.timeout` is over: the interpreter does not wait for it at exit.
"""

import logging
import threading
from urllib.parse import urlsplit, urlunsplit

from failover_oneshot import __version__
from failover_oneshot.config.model import Ping
from failover_oneshot.lib import durations

LONGEST_BODY = 10_000  # bytes that every instance of healthchecks.io keeps

log = logging.getLogger("failover")


def address(url: str, end: str) -> str:
    """The URL with ``end`` ("/fail", "/start", "") appended to its path, before the query."""
    parts = urlsplit(url)
    return urlunsplit(parts._replace(path=parts.path.rstrip("/") + end if end else parts.path))


def ping(settings: Ping, end: str, body: str) -> None:
    """Send one ping with ``body``; return when it is answered or `ping.timeout` is over. A failure is a warning."""
    answers: list[str | None] = []
    thread = threading.Thread(target=lambda: answers.append(_post(settings, end, body)), daemon=True)
    thread.start()
    thread.join(settings.timeout)
    why = answers[0] if answers else f"no answer within {durations.format(settings.timeout)} (ping.timeout)"
    if why:
        log.warning("ping of ping.url failed: %s", why)


def _post(settings: Ping, end: str, body: str) -> str | None:
    """Why the ping failed, in words that hold no part of the URL; None if it succeeded."""
    from urllib import request
    from urllib.error import HTTPError

    opener = request.OpenerDirector()  # build_opener() would also open file: and ftp:
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
    except Exception as error:  # of many types, and the text of some quotes the URL
        cause = getattr(error, "reason", error)
        tls = type(cause).__name__.startswith("SSL")  # its strerror may name the host
        return (not tls and getattr(cause, "strerror", None)) or type(cause).__name__
    return None
