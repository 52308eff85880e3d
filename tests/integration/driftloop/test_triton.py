from __future__ import annotations

import socket
from contextlib import closing

import psutil
import pytest
from tritonclient.utils import InferenceServerException

from tests.helpers.triton import TOKEN, Triton

pytestmark = [pytest.mark.integration, pytest.mark.triton]
CONTROL = "triton-grpc-protocol-driftloop-control"


def test_a_triton_is_up_with_no_model(triton: Triton) -> None:
    with closing(triton.client()) as client:
        assert client.is_server_ready()
        assert client.get_model_repository_index(headers={CONTROL: TOKEN}).models == []


@pytest.mark.parametrize("headers", [None, {CONTROL: "a guess"}])
def test_models_are_loaded_only_with_the_secret(triton: Triton, headers: dict[str, str] | None) -> None:
    with closing(triton.client()) as client:
        with pytest.raises(InferenceServerException, match="restricted"):
            client.load_model("anything", headers=headers)
        with pytest.raises(InferenceServerException, match="failed to load 'anything'"):
            client.load_model("anything", headers={CONTROL: TOKEN})


def _answer_to_chunks(port: int, path: str, chunks: int) -> bytes:
    """Send one HTTP request whose body comes in chunks of one byte; return the answer, or nothing."""
    head = f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nTransfer-Encoding: chunked\r\n\r\n".encode()
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=10.0) as client:
            client.sendall(head + b"1\r\n0\r\n" * chunks + b"0\r\n\r\n")
            return client.recv(1024)
    except OSError:
        return b""


def test_no_port_takes_a_request_body_over_http(triton: Triton) -> None:
    """One request in one-byte chunks ended this Triton by its HTTP port."""
    server = psutil.Process(triton.pid)
    ports = {connection.laddr.port for connection in server.net_connections("tcp") if connection.status == "LISTEN"}
    assert ports == {int(address.rpartition(":")[2]) for address in (triton.address, triton.metrics)}
    for port in ports:
        for path in ("/v2/models/anything/infer", "/v2/repository/index", "/metrics", "/"):
            answer = _answer_to_chunks(port, path, chunks=1_000_000)
            assert b" 200 " not in answer
    assert server.is_running()
    with closing(triton.client()) as client:
        assert client.is_server_ready()


def test_it_listens_on_this_machine_only(triton: Triton) -> None:
    server = psutil.Process(triton.pid)
    assert {connection.laddr.ip for connection in server.net_connections("inet")} <= {"127.0.0.1", "::ffff:127.0.0.1"}


def test_the_secret_is_on_no_command_line_and_in_no_log(triton: Triton) -> None:
    server = psutil.Process(triton.pid)
    command_lines = [process.cmdline() for process in (server, *server.children(recursive=True))]
    assert not [argument for line in command_lines for argument in line if TOKEN in argument]
    assert TOKEN not in (triton.models.parent / "triton.log").read_text()
