"""Waiting without sleeping for a guess: the one loop that all tests share."""

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


def poll(what: Callable[[], T], seconds: float = 60.0) -> T:
    """Return its first true value; fail with the last one when the deadline has passed."""
    deadline = time.monotonic() + seconds
    while not (value := what()):
        assert time.monotonic() < deadline, f"still {value!r} after {seconds:.0f} s"
        time.sleep(0.02)
    return value
