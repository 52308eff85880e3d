"""The loop of orders over a broker in memory."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.unit.ingestion.rig import Rig
from tests.unit.ingestion.shop import Producer, write_loop


@pytest.fixture
def rig(tmp_path: Path) -> Rig:
    return Rig(tmp_path, [write_loop(tmp_path / "loops")])


@pytest.fixture
def producer(rig: Rig) -> Producer:
    return Producer(rig.broker, rig.loops[0])
