"""The reference loop, read once."""

import pytest

from driftloop.config import ROOT
from driftloop.loop import Loop, load_loop


@pytest.fixture(scope="session")
def loop() -> Loop:
    return load_loop(ROOT / "loops" / "flights")
