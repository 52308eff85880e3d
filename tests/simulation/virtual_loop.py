"""An asyncio event loop with virtual time and without threads."""

from __future__ import annotations

import asyncio
import heapq
from asyncio import _set_running_loop  # asyncio exports it for event loops
from collections import deque
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from contextvars import Context, copy_context
from dataclasses import dataclass, field
from itertools import count
from typing import Any


@dataclass(order=True, slots=True)
class Timer:
    """A callback that is due at a time, as `asyncio.TimerHandle`."""

    due_s: float
    number: int
    """Timers that are due at one time run in the order in which they were set."""
    callback: Callable[[], Any] = field(compare=False)
    context: Context = field(compare=False)
    is_cancelled: bool = field(default=False, compare=False)

    def when(self) -> float:
        return self.due_s

    def cancel(self) -> None:
        self.is_cancelled = True

    def cancelled(self) -> bool:
        return self.is_cancelled


class VirtualLoop:
    """Runs ready callbacks in order, when it is told to. Time advances only in `advance`.

    It has the methods of `asyncio.AbstractEventLoop` that tasks, futures, timers and `asyncio.to_thread` use. A
    function that a service runs on a thread is passed to ``on_thread`` instead.
    """

    def __init__(self, on_thread: Callable[[Callable[[], Any]], asyncio.Future[Any]]) -> None:
        self._on_thread = on_thread
        self._time_s = 0.0
        self._ready: deque[tuple[Context, Callable[..., Any], tuple[Any, ...]]] = deque()
        self._timers: list[Timer] = []
        self._numbers = count()

    @contextmanager
    def running(self) -> Iterator[None]:
        """Make this the running loop of the thread."""
        loop: Any = self
        _set_running_loop(loop)
        try:
            yield
        finally:
            _set_running_loop(None)

    def settle(self) -> None:
        """Run all callbacks that are ready, and those that they make ready."""
        while self._ready:
            context, callback, arguments = self._ready.popleft()
            context.run(callback, *arguments)

    def advance(self, seconds: float) -> None:
        """Let time pass, and run what is due in it."""
        end_s = self._time_s + seconds
        while self._timers and self._timers[0].due_s <= end_s:
            timer = heapq.heappop(self._timers)
            if not timer.is_cancelled:
                self._time_s = max(self._time_s, timer.due_s)
                timer.context.run(timer.callback)
                self.settle()
        self._time_s = end_s

    def time(self) -> float:
        return self._time_s

    def call_soon(self, callback: Callable[..., Any], *args: Any, context: Context | None = None) -> None:
        self._ready.append((copy_context() if context is None else context, callback, args))

    call_soon_threadsafe = call_soon

    def call_later(
        self, delay: float, callback: Callable[..., Any], *args: Any, context: Context | None = None
    ) -> Timer:
        return self.call_at(self._time_s + delay, callback, *args, context=context)

    def call_at(self, when: float, callback: Callable[..., Any], *args: Any, context: Context | None = None) -> Timer:
        timer = Timer(
            when, next(self._numbers), lambda: callback(*args), copy_context() if context is None else context
        )
        heapq.heappush(self._timers, timer)
        return timer

    def create_future(self) -> asyncio.Future[Any]:
        loop: Any = self
        return asyncio.Future(loop=loop)

    def create_task(
        self, coro: Coroutine[Any, Any, Any], *, name: str | None = None, context: Context | None = None
    ) -> asyncio.Task[Any]:
        loop: Any = self
        return asyncio.Task(coro, loop=loop, name=name, context=context)

    def run_in_executor(self, _executor: None, func: Callable[..., Any], *args: Any) -> asyncio.Future[Any]:
        return self._on_thread(lambda: func(*args))

    def get_debug(self) -> bool:
        return False

    def is_closed(self) -> bool:
        return False

    def is_running(self) -> bool:
        return True

    def call_exception_handler(self, context: dict[str, Any]) -> None:
        """Ignore errors that nobody waits for: a killed instance leaves them behind."""
