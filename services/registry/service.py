"""The registry service: its handlers and the mirror."""

from __future__ import annotations

import asyncio
import threading

from driftloop.runner.service import LifecycleService
from services.registry.mirror import Mirror


class RegistryService:
    """Runs both. A defect in either ends the process, and the supervisor restarts it."""

    def __init__(self, lifecycle: LifecycleService, mirror: Mirror, stop: threading.Event) -> None:
        self._lifecycle = lifecycle
        self._mirror = mirror
        self._stop = stop

    def ready(self) -> bool:
        """Return whether it reads events. The mirror does not count."""
        return self._lifecycle.ready()

    async def run(self) -> None:
        """Work until the stop event is set."""
        mirroring = asyncio.create_task(asyncio.to_thread(self._mirror.run))
        mirroring.add_done_callback(lambda _: self._stop.set())
        try:
            await self._lifecycle.run()
        finally:
            self._stop.set()
            await mirroring
