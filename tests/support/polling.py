"""The polling loop that all tests use instead of fixed sleeps."""

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


def poll(what: Callable[[], T], seconds: float = 60.0) -> T:
    """The first true value of `what()`; AssertionError with the last one after that many seconds."""
    deadline = time.monotonic() + seconds
    while not (value := what()):
        assert time.monotonic() < deadline, f"still {value!r} after {seconds:.0f} s"
        time.sleep(0.02)
    return value
