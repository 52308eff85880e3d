"""Process of a service: logs, telemetry, health, signals, graceful stop, exit code."""

from __future__ import annotations

import asyncio
import faulthandler
import gc
import inspect
import os
import signal
import threading
from collections.abc import Awaitable, Callable
from typing import Any, Protocol, TypeVar, runtime_checkable

from driftloop.process import log, startup_errors, telemetry
from driftloop.process.errors import ConfigError, DriftloopError
from driftloop.process.health import HealthServer
from driftloop.process.private_files import keep_files_private, make_home_private
from driftloop.process.settings import Settings
from driftloop.process.signals import run_on_thread

SettingsT = TypeVar("SettingsT", bound=Settings)


class Service(Protocol):
    """A program that `serve` runs."""

    def run(self) -> Awaitable[None] | None:
        """Work until the stop event that the service was built with is set; release everything before returning."""
        ...

    def ready(self) -> bool:
        """Return whether the service accepts work."""
        ...


@runtime_checkable
class Standby(Protocol):
    """A service that works on one instance at a time."""

    def role(self) -> str:
        """Return `leader` or `standby`."""
        ...


class _ServiceHolder:
    """Hold the service once it is built. The health server starts earlier, so that it answers during start-up."""

    service: Service | None = None

    def ready(self) -> bool:
        return self.service is not None and self.service.ready()

    def status(self) -> dict[str, Any]:
        role: dict[str, Any] = {"role": self.service.role()} if isinstance(self.service, Standby) else {}
        return {"ready": self.ready(), **role, "pid": os.getpid()}


def serve(name: str, settings: SettingsT, build: Callable[[SettingsT, threading.Event], Service]) -> int:
    """Run a service until SIGTERM or SIGINT; return the exit code of the process.

    0: stopped on request. 1: a defect; the supervisor restarts the process. 2: a setting or a loop is wrong; the
    startup errors say which.
    """
    keep_files_private()
    faulthandler.enable(2)  # a crash of a library leaves the stacks on standard error
    make_home_private(settings.home)
    startup_errors.clear_startup_errors(settings.home, name)
    log.configure(name, settings.log_level)
    telemetry.start(name, settings.home / "traces" / f"{name}.jsonl")
    stop = threading.Event()
    request_stop = run_on_thread(stop.set)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, request_stop)
    holder = _ServiceHolder()
    logger = log.get(__name__)
    with HealthServer(settings.host, settings.health_port, holder.ready, holder.status) as health:
        try:
            holder.service = build(settings, stop)
            gc.collect()
            gc.freeze()  # these objects live as long as the process; full collections can skip them
            logger.info("started", health_port=health.port)
            running = holder.service.run()
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
