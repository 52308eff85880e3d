"""The registry as one service: its handlers, and the mirror beside them."""

from __future__ import annotations

import asyncio
import threading

from driftloop.runner.service import LifecycleService
from services.registry.mirror import Mirror


class RegistryService:
    """Runs both; a defect in either ends the process, and its supervisor starts it again."""

    def __init__(self, lifecycle: LifecycleService, mirror: Mirror, stop: threading.Event) -> None:
        self._lifecycle = lifecycle
        self._mirror = mirror
        self._stop = stop

    def ready(self) -> bool:
        """Whether it takes events. The mirror has no say in that."""
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
