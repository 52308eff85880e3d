"""Runs the lifecycle handlers, the route reconciler and the spool shipper; they stop together."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from driftloop.runner.service import LifecycleService
from services.serving.route_reconciler import RouteReconciler
from services.serving.shipper import Shipper


@dataclass(frozen=True)
class Agent:
    """`driftloop.process.Service` with three parts. An error in one ends all."""

    lifecycle: LifecycleService
    reconciler: RouteReconciler
    shipper: Shipper
    stop: threading.Event
    close: Callable[[], None]

    def ready(self) -> bool:
        """Return whether the lifecycle handlers consume, and Triton serves every loop's route."""
        return self.lifecycle.ready() and self.reconciler.ready()

    async def run(self) -> None:
        """Run until the stop event is set."""
        loop = asyncio.get_running_loop()
        with ThreadPoolExecutor(2, thread_name_prefix="serving") as threads:
            parts = [
                asyncio.ensure_future(loop.run_in_executor(threads, self.reconciler.run)),
                asyncio.ensure_future(loop.run_in_executor(threads, self.shipper.run)),
                asyncio.ensure_future(self.lifecycle.run()),
            ]
            try:
                await asyncio.wait(parts, return_when=asyncio.FIRST_COMPLETED)
            finally:
                self.stop.set()
                results = await asyncio.gather(*parts, return_exceptions=True)
        self.close()
        for result in results:
            if isinstance(result, BaseException):
                raise result
