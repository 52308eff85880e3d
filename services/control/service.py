"""The control service: API and page on an event loop, readers of the log on threads."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import grpc
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection

from driftloop.bus.ports import LifecycleProducer
from driftloop.contracts import control_api_pb2 as api
from driftloop.contracts import control_api_pb2_grpc as calls
from driftloop.process import log
from driftloop.runner.relay import Relay
from services.control.adapters.reader import Reader
from services.control.api import ControlApi
from services.control.feed import Feed
from services.control.web.server import WebServer

_GRACE_S = 1.0
_NAME = api.DESCRIPTOR.services_by_name["Control"].full_name


class ControlService:
    """Runs all parts. An unexpected error in any of them ends the process, and the supervisor restarts it."""

    def __init__(
        self,
        *,
        servicer: ControlApi,
        reader: Reader,
        followers: Sequence[Callable[[], None]],
        relay: Relay,
        producer: LifecycleProducer,
        feed: Feed,
        address: str,
        page: WebServer,
        stop: threading.Event,
    ) -> None:
        self._servicer = servicer
        self._reader = reader
        self._bodies = (reader.run, *followers)
        self._relay = relay
        self._producer = producer
        self._feed = feed
        self._address = address
        self._page = page
        self._stop = stop
        self._serving = False
        self.port = 0
        """Port of the API once it is served."""

    def ready(self) -> bool:
        """Return whether the API answers from a complete read model."""
        return self._serving and self._reader.caught_up()

    async def run(self) -> None:
        self._feed.bind()
        server, state = self._server()
        with ThreadPoolExecutor(len(self._bodies) + 1, "control") as threads:
            running = asyncio.get_running_loop()
            stopped: asyncio.Future[Any] = running.run_in_executor(threads, self._stop.wait)
            working: list[asyncio.Future[Any]] = [
                running.run_in_executor(threads, self._guarded, body) for body in self._bodies
            ]
            try:
                await self._producer.start()
                await server.start()
                await self._page.start()
                await state.set(_NAME, health_pb2.HealthCheckResponse.SERVING)
                self._serving = True
                working.append(asyncio.create_task(self._relay.keep_flushing(self._stop.is_set)))
                await asyncio.wait({stopped, *working}, return_when=asyncio.FIRST_COMPLETED)
            finally:
                self._serving = False
                self._stop.set()
                self._relay.wake()
                await asyncio.gather(server.stop(_GRACE_S), self._page.stop())
                await asyncio.gather(*working)
                await self._producer.stop()

    def _guarded(self, body: Callable[[], None]) -> None:
        """Run a thread's body; when it ends, stop the service."""
        try:
            body()
        finally:
            self._stop.set()

    def _server(self) -> tuple[grpc.aio.Server, Any]:
        server = grpc.aio.server(options=[("grpc.so_reuseport", 0)])
        calls.add_ControlServicer_to_server(self._servicer, server)
        state: Any = health.aio.HealthServicer()  # type: ignore[attr-defined]  # the stubs know only the other one
        health_pb2_grpc.add_HealthServicer_to_server(state, server)
        names = (_NAME, health.SERVICE_NAME, reflection.SERVICE_NAME)
        reflection.enable_server_reflection(names, server)
        self.port = server.add_insecure_port(self._address)
        log.get(__name__).info("api", port=self.port)
        return server, state
