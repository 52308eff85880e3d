"""Limits of the times and numbers that every part of the system can use."""

from __future__ import annotations

END_OF_TIME_MS = 253_402_300_800_000
"""10000-01-01: the end of calendars and RFC 3339."""
LARGEST = 1e100
"""Largest size of a number. The sum of the squares of any count of them is finite."""
