from __future__ import annotations

import json
import socket
import struct
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator

import pytest

from driftloop.process.health import HealthServer


class _Service:
    ready = False


@pytest.fixture(scope="module")
def service() -> _Service:
    return _Service()


@pytest.fixture(scope="module")
def server(service: _Service) -> Iterator[HealthServer]:
    with HealthServer("127.0.0.1", 0, lambda: service.ready, lambda: {"handled": 3}) as server:
        yield server


def _ask(server: HealthServer, path: str) -> tuple[int, str, bytes]:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{server.port}{path}", timeout=60) as answer:
            return answer.status, answer.headers["Content-Type"], answer.read()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.headers["Content-Type"], error.read()


def test_readiness_has_the_role_of_an_instance() -> None:
    with HealthServer("127.0.0.1", 0, lambda: True, lambda: {"role": "standby", "pid": 1}) as server:
        assert _ask(server, "/ready")[::2] == (200, b'{"ready": true, "role": "standby"}')


def test_a_process_is_live_before_it_is_ready(server: HealthServer, service: _Service) -> None:
    assert _ask(server, "/live")[0] == 200
    assert _ask(server, "/ready")[::2] == (503, b'{"ready": false}')
    service.ready = True
    assert _ask(server, "/ready")[::2] == (200, b'{"ready": true}')


def test_status_returns_the_services_status(server: HealthServer) -> None:
    code, kind, body = _ask(server, "/status")
    assert (code, kind, json.loads(body)) == (200, "application/json", {"handled": 3})


def test_metrics_are_prometheus_text(server: HealthServer) -> None:
    code, kind, body = _ask(server, "/metrics")
    assert code == 200
    assert kind.startswith("text/plain")
    assert b"# TYPE" in body


def test_an_unknown_path_lists_the_valid_ones(server: HealthServer) -> None:
    code, _, body = _ask(server, "/")
    assert code == 404
    assert b"/ready" in body


def test_the_port_is_free_again_afterwards() -> None:
    with HealthServer("127.0.0.1", 0, lambda: True) as first:
        port = first.port
    with HealthServer("127.0.0.1", port, lambda: True) as second:
        assert second.port == port


def test_a_client_that_closes_before_the_answer_leaves_nothing_in_the_log(capsys: pytest.CaptureFixture[str]) -> None:
    asked, closed = threading.Event(), threading.Event()
    handlers: list[threading.Thread] = []

    def ready() -> bool:
        handlers.append(threading.current_thread())
        asked.set()
        return closed.wait(10)

    with HealthServer("127.0.0.1", 0, ready) as server:
        with socket.create_connection(("127.0.0.1", server.port)) as connection:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))  # close by a reset
            connection.sendall(b"GET /ready HTTP/1.0\r\n\r\n")
            assert asked.wait(10)
        closed.set()
        handlers[0].join(10)
    assert capsys.readouterr().err == ""


def test_a_defect_in_a_handler_is_printed(capsys: pytest.CaptureFixture[str]) -> None:
    with HealthServer("127.0.0.1", 0, lambda: 1 / 0 > 0) as server, pytest.raises(ConnectionError):
        _ask(server, "/ready")
    assert "ZeroDivisionError" in capsys.readouterr().err
