"""The stores in a bucket of a real S3 server."""

from __future__ import annotations

import uuid

import pytest

from driftloop.process.object_store import RemoteFolder
from tests.helpers.s3 import BUCKET, S3, s3, s3_server

__all__ = ["s3", "s3_server"]


@pytest.fixture
def folder(s3: S3) -> RemoteFolder:
    """An empty folder of its own for each test."""
    assert s3.pid
    return RemoteFolder(f"s3://{BUCKET}/{uuid.uuid4().hex}")
