"""A real Triton on free ports, for as long as a test needs it."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import time
from pathlib import Path

import tritonclient.grpc as grpc
from tritonclient.utils import InferenceServerException

from driftloop.config import ROOT

TOKEN = "test-token"


class TritonServer:
    """Started by `start`, ended by `stop` or `kill`; keeps its ports over restarts."""

    def __init__(self, models: Path, logs: Path) -> None:
        models.mkdir(parents=True, exist_ok=True)
        self._models = models
        self._logs = logs
        self._ports = free_ports(3)
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self._ports[0]}"

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    def start(self, timeout_s: float = 60.0) -> None:
        environment = os.environ | {
            "TRITON_MODEL_REPOSITORY": str(self._models),
            "TRITON_CONTROL_TOKEN": TOKEN,
            "TRITON_GRPC_PORT": str(self._ports[0]),
            "TRITON_HTTP_PORT": str(self._ports[1]),
            "TRITON_METRICS_PORT": str(self._ports[2]),
            "TRITON_PYTHONPATH": str(ROOT),
        }
        with self._logs.open("ab") as log:
            self._process = subprocess.Popen(
                ["/bin/bash", str(ROOT / "infra" / "triton" / "run.sh")],
                env=environment,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        self._await(timeout_s)

    def stop(self) -> None:
        self._end(signal.SIGTERM)

    def kill(self) -> None:
        self._end(signal.SIGKILL)
        for left in Path("/dev/shm").glob(f"driftloop_{self._ports[0]}_*"):
            left.unlink()

    def client(self) -> grpc.InferenceServerClient:
        return grpc.InferenceServerClient(self.address)

    def _end(self, number: signal.Signals) -> None:
        if self._process is None:
            return
        os.killpg(self._process.pid, number)
        try:
            self._process.wait(timeout=30)
        except subprocess.TimeoutExpired:
            os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait(timeout=30)
        self._process = None

    def _await(self, timeout_s: float) -> None:
        assert self._process is not None
        deadline = time.monotonic() + timeout_s
        client = self.client()
        while time.monotonic() < deadline:
            if self._process.poll() is not None:
                raise AssertionError(f"Triton ended: {self._logs.read_text()[-3000:]}")
            try:
                if client.is_server_live():
                    return
            except InferenceServerException:
                time.sleep(0.05)
        raise AssertionError(f"Triton did not come up: {self._logs.read_text()[-3000:]}")


def free_ports(count: int) -> list[int]:
    """Ports that are free now."""
    sockets = [socket.socket() for _ in range(count)]
    try:
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [int(each.getsockname()[1]) for each in sockets]
    finally:
        for each in sockets:
            each.close()
