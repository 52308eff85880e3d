from __future__ import annotations

from datetime import date, timedelta
from pathlib import Path

import pytest

from driftloop.ops.demo.checkpoint import DemoCheckpoint, read_checkpoint
from driftloop.ops.demo.plan import Plan
from driftloop.process.errors import ConfigError

PLAN = Plan(start=date(2013, 1, 1), end=date(2013, 2, 1), step=timedelta(minutes=90))


def test_a_checkpoint_is_read_as_written(tmp_path: Path) -> None:
    checkpoint = DemoCheckpoint(loop="orders", plan=PLAN, replayed=("--late-share", "0.1"), permuted=True)
    checkpoint.write(tmp_path / "home")
    assert read_checkpoint(tmp_path / "home") == checkpoint


def test_a_home_without_a_checkpoint_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"there is no demo to resume in .*start one without --resume"):
        read_checkpoint(tmp_path)
    (tmp_path / "demo.json").write_text("{}")
    with pytest.raises(ConfigError, match="start again without --resume"):
        read_checkpoint(tmp_path)
