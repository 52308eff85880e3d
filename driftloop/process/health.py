"""``/live``, ``/ready`` and ``/metrics`` of a process, served by a thread."""

from __future__ import annotations

import json
import sys
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any

from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

Probe = Callable[[], bool]
"""Return whether the service accepts work."""


class HealthServer:
    """Serve health over HTTP. ``/live`` always answers 200; ``/ready`` answers 200, or 503 if the service is not ready.

    The answer of ``/ready`` has the ``role`` from the status, if there is one: a standby is ready to take over.
    ``/status`` returns the status of the service as JSON.
    """

    def __init__(self, host: str, port: int, ready: Probe, status: Callable[[], dict[str, Any]] = dict) -> None:
        handler = type("Handler", (_Handler,), {"probe": staticmethod(ready), "status": staticmethod(status)})
        self._server = _Server((host, port), handler)
        self._thread = threading.Thread(target=self._server.serve_forever, name="health", daemon=True)

    @property
    def port(self) -> int:
        """Port that the server listens on."""
        return int(self._server.server_address[1])

    def __enter__(self) -> HealthServer:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._server.server_close()


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Print an error, unless the client has closed: a load balancer may close before it has read everything."""
        if not isinstance(sys.exception(), ConnectionError):
            super().handle_error(request, client_address)


class _Handler(BaseHTTPRequestHandler):
    probe: Probe
    status: Callable[[], dict[str, Any]]

    def do_GET(self) -> None:
        if self.path == "/metrics":
            self._answer(200, generate_latest(), CONTENT_TYPE_LATEST)
        elif self.path == "/live":
            self._answer(200, b'{"live": true}')
        elif self.path == "/ready":
            ready = self.probe()
            role = {name: value for name, value in self.status().items() if name == "role"}
            self._answer(200 if ready else 503, json.dumps({"ready": ready, **role}).encode())
        elif self.path == "/status":
            self._answer(200, json.dumps(self.status()).encode())
        else:
            self._answer(404, b'{"error": "no such path; use /live, /ready, /status or /metrics"}')

    def _answer(self, code: int, body: bytes, content_type: str = "application/json") -> None:
        self.send_response(code)
        self.send_header("Content-Type", content_type)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        """Do not log requests: they are frequent and routine."""
