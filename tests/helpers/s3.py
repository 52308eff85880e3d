"""A real S3 server for a test session."""

from __future__ import annotations

import http.client
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from driftloop.process.settings import ROOT
from tests.helpers.ports import free_ports
from tests.helpers.server import Server

PROGRAM = ROOT / ".local" / "s3" / "bin" / "moto_server"
BUCKET = "driftloop"


class S3(Server):
    """A server in memory, with one bucket."""

    def __init__(self, folder: Path) -> None:
        [self.port] = free_ports(1)
        super().__init__("s3/run.sh", {"S3_PORT": str(self.port)}, folder / "s3.log", self._has_bucket)

    @property
    def environment(self) -> dict[str, str]:
        """Return the variables with which clients find the server."""
        return {
            "AWS_ENDPOINT_URL": f"http://127.0.0.1:{self.port}",
            "AWS_ALLOW_HTTP": "true",
            "AWS_REGION": "us-east-1",
            "AWS_ACCESS_KEY_ID": "tests",
            "AWS_SECRET_ACCESS_KEY": "tests",
        }

    def _has_bucket(self) -> bool:
        try:
            with closing(http.client.HTTPConnection("127.0.0.1", self.port, timeout=1)) as connection:
                connection.request(
                    "PUT",
                    f"/{BUCKET}",
                    headers={"Authorization": "AWS4-HMAC-SHA256 Credential=tests/20200101/us-east-1/s3/aws4_request"},
                )
                return connection.getresponse().status == http.HTTPStatus.OK
        except OSError:
            return False


@pytest.fixture(scope="session")
def s3_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3]:
    """Start a server that all tests of a session share. Tests must use their own folders."""
    if not PROGRAM.exists():
        pytest.skip("no S3 server is installed: make setup S3=1")
    with S3(tmp_path_factory.mktemp("s3")).running() as server:
        yield server


@pytest.fixture
def s3(s3_server: S3, monkeypatch: pytest.MonkeyPatch) -> S3:
    """The server, with its address and credentials in the environment."""
    for name, value in s3_server.environment.items():
        monkeypatch.setenv(name, value)
    return s3_server
