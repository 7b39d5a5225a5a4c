"""Reads and formats durations in Go's style, such as `1h30m` (Go's time.ParseDuration, unsigned, and days: `7d`)."""

import re

_UNITS = {"ns": 1e-9, "us": 1e-6, "µs": 1e-6, "μs": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_NUMBER = r"(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)"
_UNIT = r"(?:ns|us|µs|μs|ms|s|m|h|d)"  # both micro signs, as in Go
_LONGEST = float(2**63 // 10**9)  # seconds; Go counts nanoseconds in 64 bits, about 292 years

PATTERN = rf"^(?:0|(?:{_NUMBER}{_UNIT})+)$"
"""The text that `parse` accepts, for the JSON Schema. It means the same in Python and ECMAScript."""

_TRY = "(try 30s, 10m, 2h)"


def parse(value: object) -> float:
    """Parse text such as `1h30m`, or a whole number of seconds, into seconds.

    Raises ValueError with a message that quotes text and numbers and says what to write instead.
    """
    if isinstance(value, bool) or not isinstance(value, int | str):
        shown = f": {value}" if isinstance(value, float) else ""
        raise ValueError(f"not a valid duration{shown} {_TRY}")  # noqa: TRY004
    seconds = float(min(value, 2**63)) if isinstance(value, int) else _parse_text(value)
    if seconds < 0:
        raise ValueError(f"a duration must not be negative: {value}")
    if seconds > _LONGEST:
        raise ValueError("longer than the longest duration (292 years)")
    return seconds


def _parse_text(text: str) -> float:
    if text == "0":
        return 0.0
    if re.fullmatch(rf"(?:{_NUMBER}{_UNIT})+", text):
        return sum(float(number) * _UNITS[unit] for number, unit in re.findall(rf"({_NUMBER})({_UNIT})", text))
    if text.startswith("-"):
        raise ValueError(f"a duration must not be negative: '{text}'")
    if re.fullmatch(r"[0-9.]+", text):
        raise ValueError(f"duration without a unit: '{text}' {_TRY}")
    raise ValueError(f"not a valid duration: '{text}' {_TRY}")


def format(seconds: float) -> str:
    """The duration for people, in its two largest units: `3d4h`, `2h`, `9m30s`, `45s`, `1.5s`, `500ms`."""
    if seconds < 0:
        return "-" + format(-seconds)
    if seconds < 0.9995:
        return f"{round(seconds * 1000)}ms" if seconds else "0s"
    if seconds < 59.95:
        return f"{round(seconds, 1):g}s"
    # Each step rounds to its smaller unit before it is split: 59m59.6s is 1h, not 60m.
    if (whole := round(seconds)) < 3600:
        return _pair(whole, 60, "m", "s")
    if (minutes := round(seconds / 60)) < 24 * 60:
        return _pair(minutes, 60, "h", "m")
    return _pair(round(seconds / 3600), 24, "d", "h")


def _pair(count: int, per_large: int, large_unit: str, small_unit: str) -> str:
    large, small = divmod(count, per_large)
    return f"{large}{large_unit}" + (f"{small}{small_unit}" if small else "")
