from pathlib import Path

import pytest
from sqlalchemy import Engine

from driftloop.runner.tables import open_database
from services.serving.adapters import sql
from services.serving.adapters.sql import SqlWriterStarts


@pytest.fixture
def engine(tmp_path: Path) -> Engine:
    return open_database(f"sqlite:///{tmp_path / 'serving.db'}", sql.metadata)


def test_starts_grow_and_keep_the_watermark(engine: Engine) -> None:
    starts = SqlWriterStarts(engine)
    assert starts.begin(["orders", "parcels"], 100) == {"orders": (100, None), "parcels": (100, None)}
    starts.save({"orders": 7})
    assert starts.begin(["orders"], 50) == {"orders": (101, 7)}
    assert SqlWriterStarts(engine).begin(["orders", "parcels"], 200) == {"orders": (200, 7), "parcels": (200, None)}


def test_no_loop_needs_no_row(engine: Engine) -> None:
    starts = SqlWriterStarts(engine)
    assert starts.begin([], 1) == {}
