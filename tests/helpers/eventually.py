"""Waits for conditions. The timeouts are long enough for a machine under load."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import TypeVar

T = TypeVar("T")
_PAUSE_S = 0.01


def assert_eventually(probe: Callable[[], T], timeout_s: float = 60.0, say: str = "") -> T:
    """Call ``probe`` until it returns a true value, and return that value.

    Raises:
        AssertionError: it did not within ``timeout_s``; the message has its last value.
    """
    deadline = time.monotonic() + timeout_s
    while not (value := probe()):
        assert time.monotonic() < deadline, f"{say or probe} was still {value!r} after {timeout_s} s"
        time.sleep(_PAUSE_S)
    return value


async def assert_eventually_async(probe: Callable[[], Awaitable[T]], timeout_s: float = 60.0, say: str = "") -> T:
    """`assert_eventually` for a coroutine function."""
    deadline = time.monotonic() + timeout_s
    while not (value := await probe()):
        assert time.monotonic() < deadline, f"{say or probe} was still {value!r} after {timeout_s} s"
        await asyncio.sleep(_PAUSE_S)
    return value
