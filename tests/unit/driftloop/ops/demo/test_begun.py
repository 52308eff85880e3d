from __future__ import annotations

from datetime import date, timedelta
from pathlib import Path

import pytest

from driftloop.ops.demo.checkpoint import Begun, read_begun
from driftloop.ops.demo.plan import Plan
from driftloop.process.errors import ConfigError

PLAN = Plan(start=date(2013, 1, 1), end=date(2013, 2, 1), step=timedelta(minutes=90))


def test_what_was_begun_is_read_as_it_was(tmp_path: Path) -> None:
    begun = Begun(loop="orders", plan=PLAN, replayed=("--late-share", "0.1"), permuted=True)
    begun.write(tmp_path / "home")
    assert read_begun(tmp_path / "home") == begun


def test_where_nothing_was_begun_nothing_goes_on(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"no demo was begun in .*leave --resume out"):
        read_begun(tmp_path)
    (tmp_path / "demo.json").write_text("{}")
    with pytest.raises(ConfigError, match="begin again without --resume"):
        read_begun(tmp_path)
