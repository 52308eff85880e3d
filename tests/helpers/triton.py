"""The fixture `triton`: a real Triton for a test session."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from driftloop.ops.system.health import grpc_serves
from driftloop.process.settings import ROOT
from tests.helpers.ports import free_ports
from tests.helpers.server import Server

if TYPE_CHECKING:
    import tritonclient.grpc as grpc

TOKEN = "test-token"


class Triton(Server):
    """A Triton on free ports with the models in ``models``; none is loaded at start."""

    def __init__(self, models: Path, log: Path) -> None:
        models.mkdir(parents=True, exist_ok=True)
        self.models = models
        grpc_port, metrics_port = free_ports(2)
        self.address = f"127.0.0.1:{grpc_port}"
        self.metrics = f"127.0.0.1:{metrics_port}"
        environment = {
            "TRITON_MODEL_REPOSITORY": str(models),
            "TRITON_CONTROL_TOKEN": TOKEN,
            "TRITON_GRPC_PORT": str(grpc_port),
            "TRITON_METRICS_PORT": str(metrics_port),
            "TRITON_PYTHONPATH": str(ROOT),
        }
        super().__init__("triton/run.sh", environment, log, self._alive)

    def client(self) -> grpc.InferenceServerClient:
        """Return a client; the caller closes it."""
        import tritonclient.grpc as grpc  # slow to import, and most sessions do not need it

        return grpc.InferenceServerClient(self.address)

    def _alive(self) -> bool:
        return grpc_serves(self.address, timeout_s=1.0)


@pytest.fixture(scope="session")
def triton(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Triton]:
    """Start a Triton that all tests of a session share. Tests must use their own model names."""
    folder = tmp_path_factory.mktemp("triton")
    with Triton(folder / "models", folder / "triton.log").running() as server:
        yield server
