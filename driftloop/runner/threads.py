"""Runs a lifecycle service together with blocking workers, each on its own thread."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from driftloop.runner.service import LifecycleService


@dataclass(frozen=True)
class ServiceWithWorkers:
    """A lifecycle service and its workers. If one of them ends, all end, and an error of any of them is raised."""

    lifecycle: LifecycleService
    workers: Sequence[Callable[[], None]]
    """Each must return soon after the stop event is set."""
    stop: threading.Event
    workers_ready: Callable[[], bool] = lambda: True

    def ready(self) -> bool:
        """Return whether the service reads events and its workers are ready."""
        return self.lifecycle.ready() and self.workers_ready()

    async def run(self) -> None:
        loop = asyncio.get_running_loop()
        with ThreadPoolExecutor(len(self.workers)) as threads:
            parts = [asyncio.ensure_future(loop.run_in_executor(threads, worker)) for worker in self.workers]
            parts.append(asyncio.ensure_future(self.lifecycle.run()))
            try:
                await asyncio.wait(parts, return_when=asyncio.FIRST_COMPLETED)
            finally:
                self.stop.set()
                results = await asyncio.gather(*parts, return_exceptions=True)
        for result in results:
            if isinstance(result, BaseException):
                raise result
