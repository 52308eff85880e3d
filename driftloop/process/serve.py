"""What every service's process does alike: logs, telemetry, health, signals, a graceful stop, an exit code."""

from __future__ import annotations

import asyncio
import gc
import inspect
import os
import signal
import threading
from collections.abc import Awaitable, Callable
from typing import Any, Protocol

from driftloop.process import log, startup_errors, telemetry
from driftloop.process.errors import ConfigError, DriftloopError
from driftloop.process.health import HealthServer
from driftloop.process.settings import Settings
from driftloop.process.signals import run_on_thread


class Service(Protocol):
    """What a process runs."""

    def run(self) -> Awaitable[None] | None:
        """Work until the stop event that the service was built with is set; release everything before returning."""
        ...

    def ready(self) -> bool:
        """Whether it takes work now."""
        ...


class _Slot:
    """Holds the service once it is built."""

    service: Service | None = None

    def ready(self) -> bool:
        return self.service is not None and self.service.ready()

    def status(self) -> dict[str, Any]:
        return {"ready": self.ready(), "pid": os.getpid()}


def serve(name: str, settings: Settings, build: Callable[[threading.Event], Service]) -> int:
    """Run a service until SIGTERM or SIGINT; returns the process's exit code.

    0: stopped as asked. 2: a setting or a loop is wrong, as its refusal says. 1: a defect; the supervisor starts the
    process again.
    """
    startup_errors.clear_startup_errors(settings.home, name)
    log.configure(name, settings.log_level)
    telemetry.start(name, settings.home / "traces" / f"{name}.jsonl")
    stop = threading.Event()
    request_stop = run_on_thread(stop.set)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, request_stop)
    slot = _Slot()
    logger = log.get(__name__)
    with HealthServer(settings.host, settings.health_port, slot.ready, slot.status) as health:
        try:
            slot.service = build(stop)
            gc.collect()
            gc.freeze()  # what was imported and built stays; a full collection need not go through it again
            logger.info("started", health_port=health.port)
            running = slot.service.run()
            if inspect.isawaitable(running):
                asyncio.run(_finish(running))
        except ConfigError as error:
            logger.error("configuration", problem=str(error))
            startup_errors.write_startup_errors(settings.home, name, str(error))
            return 2
        except DriftloopError as error:
            logger.error("stopped", kind=type(error).__name__, problem=str(error))
            return 1
        except Exception:
            logger.exception("defect")
            return 1
    logger.info("stopped")
    return 0


async def _finish(running: Awaitable[None]) -> None:
    await running
