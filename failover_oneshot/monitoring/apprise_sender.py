"""Sends notices to one target through apprise. A separate program, so that it can be killed if it hangs.

`apprise.py` starts it as ``python -P -m failover_oneshot.monitoring.apprise_sender`` and writes one JSON object to its
stdin, the only place that holds the URL: ``{"url": "…", "messages": [{"title", "body", "type"}]}``. It prints one JSON
line per message, in order and as soon as the result is known: null, or why the message was not delivered. The reason is
our own text, because the text of apprise may quote the URL. Exit code 3: apprise is not installed.
"""

import json
import logging
import re
import sys

EXIT_MISSING = 3


class _LogCapture(logging.Handler):
    """Keeps the last log message of apprise, to derive a reason that is safe to repeat."""

    heard = ""

    def emit(self, record: logging.LogRecord) -> None:
        self.heard = record.getMessage()

    def why(self) -> str:
        """Why the message was not delivered."""
        if status := re.search(r"error=([1-5][0-9]{2})\b", self.heard):
            return f"the server answered {status[1]}"
        return "no connection" if "onnection" in self.heard else "apprise could not deliver it"


def main() -> int:
    """Read the messages from stdin, send them, and return the exit code."""
    task = json.load(sys.stdin)
    try:
        import apprise
    except ImportError:
        return EXIT_MISSING
    ear = _LogCapture(logging.WARNING)
    logger = logging.getLogger("apprise")
    logger.addHandler(ear)
    logger.propagate = False
    sender = apprise.Apprise()
    known = sender.add(task["url"])
    for message in task["messages"]:
        error = "apprise does not recognize this URL"
        if known:
            ear.heard = ""
            try:
                sent = sender.notify(title=message["title"], body=message["body"], notify_type=message["type"])
            except Exception as trouble:  # of a plugin; its text may quote the URL
                error = f"apprise raised {type(trouble).__name__}"
            else:
                error = "" if sent else ear.why()
        print(json.dumps(error or None), flush=True)  # noqa: T201
    return 0


if __name__ == "__main__":
    sys.exit(main())
