"""The loop of orders over a broker in memory."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.unit.ingestion.fixtures import Producer, write_loop
from tests.unit.ingestion.harness import IngestionHarness


@pytest.fixture
def harness(tmp_path: Path) -> IngestionHarness:
    return IngestionHarness(tmp_path, [write_loop(tmp_path / "loops")])


@pytest.fixture
def producer(harness: IngestionHarness) -> Producer:
    return Producer(harness.broker, harness.loops[0])
