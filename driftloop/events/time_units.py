"""Recognises times in a wrong unit. All times are milliseconds since the epoch.

The router's small environment imports this module, so it uses only the standard library.
"""

from __future__ import annotations

EARLIEST_MS = 100_000_000_000
"""1973-03-03. Smaller numbers are read as seconds: until the year 5138 a time in seconds is below this."""
_LATEST_MS = 100_000_000_000_000
"""5138-11-16. Greater numbers are read as microseconds, or as nanoseconds."""
_LATEST_US = _LATEST_MS * 1000


def problem_of_time(time_ms: int) -> str:
    """Return why a number is not a time in milliseconds since the epoch, or an empty string."""
    if time_ms <= 0:
        return "is not a valid time; use milliseconds since the epoch"
    if EARLIEST_MS <= time_ms < _LATEST_MS:
        return ""
    unit = "seconds" if time_ms < EARLIEST_MS else "microseconds" if time_ms < _LATEST_US else "nanoseconds"
    return f"looks like {unit}; use milliseconds since the epoch"
