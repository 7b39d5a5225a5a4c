"""Sets up logging to stderr, with priority prefixes when stderr is the systemd journal."""

import logging
import os
import sys

# sd-daemon(3): a line that begins with <N> has priority N.
PRIORITY = {logging.DEBUG: 7, logging.INFO: 6, logging.WARNING: 4, logging.ERROR: 3, logging.CRITICAL: 2}


class _Journal(logging.Formatter):
    """Prefixes every line of a record with its priority, because the journal reads each line as a message."""

    def format(self, record: logging.LogRecord) -> str:
        prefix = f"<{PRIORITY.get(record.levelno, 6)}>"
        return "\n".join(prefix + line for line in super().format(record).splitlines() or [""])


def is_journal() -> bool:
    """Whether stderr is the stream that $JOURNAL_STREAM names by device and inode (systemd.exec(5))."""
    try:
        device, inode = os.environ["JOURNAL_STREAM"].split(":", 1)
        found = os.fstat(sys.stderr.fileno())
        return (found.st_dev, found.st_ino) == (int(device), int(inode))
    except (KeyError, ValueError, OSError, AttributeError):
        return False


def setup_logging(verbose: bool, quiet: bool) -> None:
    """Send the log to stderr. Libraries log only warnings and errors."""
    handler = logging.StreamHandler()
    handler.setFormatter(_Journal("%(message)s") if is_journal() else logging.Formatter("%(levelname)s: %(message)s"))
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(logging.WARNING)
    level = logging.DEBUG if verbose else logging.WARNING if quiet else logging.INFO
    logging.getLogger("failover").setLevel(level)
