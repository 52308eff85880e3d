from __future__ import annotations

import json
import random
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from driftloop.bus.ports import TopicPartition
from driftloop.process.errors import ConfigError
from services.features.adapters.checkpoint_file import CheckpointFile
from services.features.domain.events import Arrived
from services.features.domain.loop_run import LoopRun
from services.features.ports import Checkpoint
from tests.unit.features.rows import HOUR, PAIRS, SHOPS, SPECS, Sale, batch
from tests.unit.features.test_engine import STEP, rows_of, streams


def _feed(run: LoopRun, number: int, sales: list[Sale]) -> None:
    run.rows(0, Arrived(batch(sales)), dict.fromkeys((SHOPS, PAIRS), np.arange(len(sales))))
    run.watermark(0, number * STEP)


@settings(deadline=None, max_examples=25)
@given(steps=streams(), data=st.data())
def test_a_run_restored_from_disk_equals_an_uninterrupted_run(
    tmp_path_factory: pytest.TempPathFactory, steps: list[list[Sale]], data: st.DataObject
) -> None:
    file = CheckpointFile(tmp_path_factory.mktemp("state") / "c.arrow")
    straight, run = LoopRun("sales", SPECS, 1), LoopRun("sales", SPECS, 1)
    stop = data.draw(st.integers(0, len(steps)))
    for number, sales in enumerate(steps, 1):
        if number == stop:
            file.save(Checkpoint({TopicPartition("t", 1): 7}, {"sales": run.snapshot()}))
            checkpoint = file.load()
            assert checkpoint is not None
            assert checkpoint.positions == {TopicPartition("t", 1): 7}
            run = LoopRun("sales", SPECS, 1)
            run.restore(checkpoint.loops["sales"])
        for fed in (straight, run):
            _feed(fed, number, sales)
        (want,), (got,) = straight.advances(), run.advances()
        assert (want.late_events, want.late_seen) == (got.late_events, got.late_seen)
        for spec in SPECS:
            assert rows_of(got, spec) == rows_of(want, spec)


def test_without_a_file_there_is_no_checkpoint(tmp_path: Path) -> None:
    assert CheckpointFile(tmp_path / "none").load() is None


def test_a_partly_written_file_is_not_read(tmp_path: Path) -> None:
    file = CheckpointFile(tmp_path / "c.arrow")
    run = LoopRun("sales", SPECS, 1)
    run.watermark(0, HOUR)
    list(run.advances())
    file.save(Checkpoint({}, {"sales": run.snapshot()}))
    (tmp_path / "c.partial").write_bytes(b"half")
    checkpoint = file.load()
    assert checkpoint is not None
    assert checkpoint.loops["sales"].watermark_ms == HOUR


def test_a_checkpoint_of_another_version_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "c.arrow"
    file = CheckpointFile(path)
    file.save(Checkpoint({}, {}))
    with pa.OSFile(str(path)) as saved:
        table = pa.ipc.open_file(saved).read_all()
    head = json.dumps(json.loads(table["payload"][0].as_py()) | {"format": 2}).encode()
    with pa.OSFile(str(path), "wb") as changed, pa.ipc.new_file(changed, table.schema) as writer:
        writer.write_table(pa.table({"name": ["head"], "payload": [head]}, table.schema))
    with pytest.raises(ConfigError, match="checkpoint has format 2, and this driftloop reads 1"):
        file.load()


SALES = [[Sale("north", 1, 10, 0, 1.5)], [Sale("south", 2, STEP + 5, 0, None, 1, "red")]]


def _saved(path: Path) -> tuple[CheckpointFile, bytes]:
    file, run = CheckpointFile(path), LoopRun("sales", SPECS, 1)
    for number, sales in enumerate(SALES, 1):
        _feed(run, number, sales)
    list(run.advances())
    file.save(Checkpoint({TopicPartition("t", 1): 7}, {"sales": run.snapshot()}))
    return file, path.read_bytes()


def test_a_damaged_checkpoint_is_reported_with_what_to_do(tmp_path: Path) -> None:
    file, content = _saved(tmp_path / "c.arrow")
    chance = random.Random(3)
    for number in range(150):
        damaged = bytearray(content[: chance.randrange(len(content))] if number % 5 == 0 else content)
        for _ in range(chance.randint(1, 4) if number % 5 else 0):
            damaged[chance.randrange(len(damaged))] ^= 1 << chance.randrange(8)
        (tmp_path / "c.arrow").write_bytes(damaged)
        problem = ""
        try:
            checkpoint = file.load()
        except ConfigError as error:
            problem = str(error)
        if problem:
            assert "c.arrow is damaged" in problem
            assert "\n" not in problem
        else:  # padding and unused fields
            assert checkpoint is not None
            assert checkpoint.positions == {TopicPartition("t", 1): 7}


def test_a_checkpoint_without_a_checksum_is_read(tmp_path: Path) -> None:
    file, content = _saved(tmp_path / "c.arrow")
    with pa.ipc.open_file(content) as source:
        table = source.read_all()
    older = table.filter(pc.not_equal(table["name"], "checksum"))
    assert len(older) == len(table) - 1
    with pa.OSFile(str(tmp_path / "c.arrow"), "wb") as sink, pa.ipc.new_file(sink, older.schema) as writer:
        writer.write_table(older)
    checkpoint = file.load()
    assert checkpoint is not None
    assert checkpoint.positions == {TopicPartition("t", 1): 7}
