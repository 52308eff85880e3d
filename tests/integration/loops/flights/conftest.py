"""The reference loop and the days of its story, read once."""

from datetime import UTC, datetime

import pyarrow as pa
import pytest

from driftloop.loop import Loop, load_loop
from driftloop.process.settings import ROOT
from loops.flights.source import events


@pytest.fixture(scope="session")
def loop() -> Loop:
    return load_loop(ROOT / "loops" / "flights")


@pytest.fixture(scope="session")
def story() -> dict[str, pa.Table]:
    """Every event from December 31, 2012, to May 20, 2013."""
    first, end = (round(datetime(*day, tzinfo=UTC).timestamp() * 1000) for day in ((2012, 12, 31), (2013, 5, 21)))
    return events(first, end)
