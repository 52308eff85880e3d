"""Waits for what must come true, never for a guessed time; the bound is for a machine that does ten other things."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import TypeVar

T = TypeVar("T")
_PAUSE_S = 0.01


def assert_eventually(probe: Callable[[], T], timeout_s: float = 60.0, say: str = "") -> T:
    """Ask until ``probe`` gives something true, which is returned.

    Raises:
        AssertionError: it did not within ``timeout_s``; says what it gave last.
    """
    deadline = time.monotonic() + timeout_s
    while not (found := probe()):
        assert time.monotonic() < deadline, f"{say or probe} was still {found!r} after {timeout_s} s"
        time.sleep(_PAUSE_S)
    return found


async def assert_eventually_async(probe: Callable[[], Awaitable[T]], timeout_s: float = 60.0, say: str = "") -> T:
    """`assert_eventually` on an event loop."""
    deadline = time.monotonic() + timeout_s
    while not (found := await probe()):
        assert time.monotonic() < deadline, f"{say or probe} was still {found!r} after {timeout_s} s"
        await asyncio.sleep(_PAUSE_S)
    return found
