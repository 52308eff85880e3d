"""Runs the lifecycle handlers, the route reconciler and the spool shipper; they stop together."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass

from driftloop.runner.batch_loop import BatchLoop
from driftloop.runner.service import LifecycleService
from driftloop.runner.threads import ServiceWithWorkers
from services.serving.route_reconciler import RouteReconciler


@dataclass(frozen=True)
class Agent:
    """`driftloop.process.Service` with three parts. An error in one ends all."""

    lifecycle: LifecycleService
    reconciler: RouteReconciler
    shipper: BatchLoop
    stop: threading.Event
    close: Callable[[], None]

    def ready(self) -> bool:
        """Return whether the lifecycle handlers consume, and Triton serves every loop's route."""
        return self.lifecycle.ready() and self.reconciler.ready()

    async def run(self) -> None:
        try:
            await ServiceWithWorkers(self.lifecycle, [self.reconciler.run, self.shipper.run], self.stop).run()
        finally:
            self.close()
