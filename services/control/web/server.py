"""The web server: the page and its API, on the service's event loop."""

from __future__ import annotations

from collections.abc import Callable, Collection

from aiohttp import web

from driftloop.process import log
from driftloop.process.errors import Retriable
from services.control.command_service import CommandService
from services.control.web.answers import Answers
from services.control.web.guard import add_security_headers, errors_as_json, guard
from services.control.web.routes import routes
from services.control.web.stream import Streams

_BODY = 16_384
_GRACE_S = 1.0


class WebServer:
    """Listens from `start` to `stop`."""

    def __init__(
        self,
        answers: Answers,
        commands: CommandService,
        streams: Streams,
        caught_up: Callable[[], bool],
        host: str,
        port: int,
        names: Collection[str] = (),
    ) -> None:
        """``port`` 0 chooses a free one; ``names`` are host names of this server."""
        self._caught_up = caught_up
        self._streams = streams
        self._host = host
        self.port = port
        """The actual port, once started."""
        self._app = web.Application(client_max_size=_BODY, middlewares=[errors_as_json, guard(names)])
        self._app.on_response_prepare.append(add_security_headers)
        self._app.add_routes(routes(answers, commands, streams, self._ready))
        self._runner = web.AppRunner(self._app, access_log=None, shutdown_timeout=_GRACE_S)

    async def start(self) -> None:
        """Start to listen.

        Raises:
            OSError: another process uses the port.
        """
        await self._runner.setup()
        await web.TCPSite(self._runner, self._host, self.port).start()
        self.port = self._runner.addresses[0][1]
        log.get(__name__).info("page", port=self.port)

    async def stop(self) -> None:
        """End all streams, finish current requests, and stop listening."""
        await self._streams.close()
        await self._runner.cleanup()

    def _ready(self) -> None:
        if not self._caught_up():
            raise Retriable("the read model is being built; try again")
