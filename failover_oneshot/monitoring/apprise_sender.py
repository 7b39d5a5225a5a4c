"""Sends notices to one target through apprise: a program of its own, so that whatever hangs in it can be killed.

`apprise.py` starts it as ``python -P -m failover_oneshot.monitoring.apprise_sender`` with one JSON object on stdin,
which alone holds the URL: ``{"url": "…", "messages": [{"title", "body", "type"}]}``. For each message, in their order,
a JSON line comes back on stdout as soon as it is known: null, or why it was not delivered, in words of our own, for
those of apprise may quote the URL. Exit code 3: apprise is not installed.
"""

import json
import logging
import re
import sys

EXIT_MISSING = 3


class _LogCapture(logging.Handler):
    """Listens to what apprise says, for what is safe to repeat."""

    heard = ""

    def emit(self, record: logging.LogRecord) -> None:
        self.heard = record.getMessage()

    def why(self) -> str:
        """Why the target did not take the message."""
        if status := re.search(r"error=([1-5][0-9]{2})\b", self.heard):
            return f"the server answered {status[1]}"
        return "no connection" if "onnection" in self.heard else "apprise could not deliver it"


def main() -> int:
    """Read the task and send each message; the exit code."""
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
        error = "apprise does not know such a URL"
        if known:
            ear.heard = ""
            try:
                sent = sender.notify(title=message["title"], body=message["body"], notify_type=message["type"])
            except Exception as trouble:  # a plugin's; its text may quote the URL
                error = f"apprise stumbled ({type(trouble).__name__})"
            else:
                error = "" if sent else ear.why()
        print(json.dumps(error or None), flush=True)  # noqa: T201
    return 0


if __name__ == "__main__":
    sys.exit(main())
