"""An asyncio event loop with virtual time and without threads."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any


class VirtualLoop(asyncio.BaseEventLoop):
    """Runs ready callbacks in order. Time advances only when nothing is ready, straight to the next timer.

    A function that a service runs on a thread (`asyncio.to_thread`) is passed to ``on_thread`` instead.
    """

    def __init__(self, on_thread: Callable[[Callable[[], Any]], asyncio.Future[Any]]) -> None:
        super().__init__()
        self._on_thread = on_thread
        self._time_s = 0.0
        self._selector = self
        self.set_exception_handler(lambda _loop, _context: None)  # a killed instance leaves errors behind

    def time(self) -> float:
        return self._time_s

    def select(self, timeout: float | None) -> list[Any]:
        """Advance time by the timeout, as a selector without files."""
        if timeout is None:
            raise RuntimeError("the simulation waits for nothing")
        self._time_s += max(timeout, 0.0)
        return []

    def is_idle(self) -> bool:
        """Return whether no other callback is ready now."""
        return not self._ready  # type: ignore[attr-defined]

    def run_in_executor(  # type: ignore[override]  # the type of its arguments is of no interest here
        self, executor: Any, func: Callable[..., Any], *args: Any
    ) -> asyncio.Future[Any]:
        return self._on_thread(lambda: func(*args))

    def _process_events(self, event_list: list[Any]) -> None: ...

    def _write_to_self(self) -> None: ...
