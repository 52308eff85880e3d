"""A real Ray cluster of one node for a test session."""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from urllib.error import URLError
from urllib.request import Request, urlopen

import pytest

from driftloop.process.settings import ROOT
from tests.helpers.ports import free_ports
from tests.helpers.server import Server

PROGRAM = ROOT / ".local" / "ray" / "bin" / "ray"


class RayCluster(Server):
    """A cluster whose jobs see this machine's files. ``environment``: variables of its jobs."""

    def __init__(self, folder: Path, environment: Mapping[str, str]) -> None:
        [self.port, gcs] = free_ports(2)
        variables = {"RAY_PORT": str(self.port), "RAY_GCS_PORT": str(gcs), "RAY_FOLDER": str(folder)}
        super().__init__("ray/run.sh", variables | dict(environment), folder / "ray.log", self._takes_jobs)

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def start(self, timeout_s: float = 240.0) -> None:
        """Start the cluster. Ray gives up after 30 s, so a busy machine may need several attempts."""
        for attempt in range(3):
            try:
                super().start(timeout_s)
                return
            except AssertionError:
                if self.is_running or attempt == 2:
                    raise

    def _takes_jobs(self) -> bool:
        """Return whether a job can be submitted; the interface answers before a node takes jobs."""
        job = Request(f"{self.address}/api/jobs/", json.dumps({"entrypoint": "true"}).encode(), method="POST")
        try:
            with urlopen(job, timeout=60) as answer:
                return bool(answer.status == 200)
        except (URLError, OSError):
            return False


@pytest.fixture(scope="session")
def ray_cluster() -> Iterator[RayCluster]:
    """Start a cluster that all tests of a session share."""
    if not PROGRAM.exists():
        pytest.skip("Ray is not installed: make setup RAY=1")
    folder = Path(tempfile.mkdtemp(prefix="ray", dir="/tmp"))  # its sockets' names have at most 107 characters
    try:
        with RayCluster(folder, {}).running() as cluster:
            yield cluster
    finally:
        shutil.rmtree(folder, ignore_errors=True)
