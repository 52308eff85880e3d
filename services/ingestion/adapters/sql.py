"""Journal and checkpoint in the service's SQL database."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import asdict
from pathlib import Path
from typing import Any

from sqlalchemy import BigInteger, Column, Engine, Table, Text, delete, insert, select

from driftloop.bus.ports import TopicPartition
from driftloop.runner.loop_positions import positions_from_json, positions_to_json
from driftloop.runner.tables import reading, versioned
from services.ingestion.domain.arrivals import PartitionClock
from services.ingestion.domain.refusals import Refusals
from services.ingestion.ports import BatchRecord, Checkpoint, ClockState

metadata = versioned(Path(__file__).parents[1] / "revisions")

taken_batches = Table(
    "taken_batches",
    metadata,
    Column("sequence", BigInteger, primary_key=True, autoincrement=False),
    Column("content", Text, nullable=False),
)
"""Batches since the checkpoint."""

checkpoints = Table(
    "checkpoints",
    metadata,
    Column("sequence", BigInteger, primary_key=True, autoincrement=False),
    Column("content", Text, nullable=False),
)
"""One row: the newest checkpoint."""


class SqlJournal:
    """`services.ingestion.ports.Journal` over SQLAlchemy."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def append(self, batch: BatchRecord) -> None:
        content = {
            "ranges": [[tp.topic, tp.partition, *span] for tp, span in batch.ranges.items()],
            "silent": _to_json(batch.idle),
            "read_at_ms": batch.read_at_ms,
        }
        with self._engine.begin() as connection:
            connection.execute(insert(taken_batches).values(sequence=batch.sequence, content=json.dumps(content)))

    def checkpoint(self, checkpoint: Checkpoint) -> None:
        content = {
            "positions": positions_to_json(checkpoint.positions),
            "apart": {name: positions_to_json(positions) for name, positions in checkpoint.apart.items()},
            "topic_ids": dict(checkpoint.topic_ids),
            "first": positions_to_json(checkpoint.first),
            "loops": {name: _state_to_json(state) for name, state in checkpoint.loops.items()},
            "refusals": [[*where, asdict(refusals)] for where, refusals in checkpoint.refusals.items()],
        }
        with self._engine.begin() as connection:
            connection.execute(delete(checkpoints))
            connection.execute(insert(checkpoints).values(sequence=checkpoint.sequence, content=json.dumps(content)))
            connection.execute(delete(taken_batches).where(taken_batches.c.sequence <= checkpoint.sequence))

    def load(self) -> tuple[Checkpoint, list[BatchRecord]]:
        with reading(self._engine) as connection:
            newest = connection.execute(select(checkpoints)).first()
            rows = connection.execute(select(taken_batches).order_by(taken_batches.c.sequence)).all()
        checkpoint = Checkpoint() if newest is None else _checkpoint(newest.sequence, json.loads(newest.content))
        return checkpoint, [_batch_record(row.sequence, json.loads(row.content)) for row in rows]

    def close(self) -> None:
        self._engine.dispose()


def _batch_record(sequence: int, content: dict[str, Any]) -> BatchRecord:
    ranges = {TopicPartition(topic, p): (start, end) for topic, p, start, end in content["ranges"]}
    return BatchRecord(sequence, ranges, _from_json(content["silent"]), content.get("read_at_ms"))


def _checkpoint(sequence: int, content: dict[str, Any]) -> Checkpoint:
    stored = content.get("refusals", ())  # older versions stored none
    apart = content.get("apart", {})  # older versions forgot the loops that did not run
    return Checkpoint(
        sequence,
        positions_from_json(content["positions"]),
        {name: _state(state) for name, state in content["loops"].items()},
        {(loop, topic): Refusals(**fields) for loop, topic, fields in stored},
        {name: positions_from_json(positions) for name, positions in apart.items()},
        content.get("topic_ids", {}),
        positions_from_json(content.get("first", ())),
    )


def _state_to_json(state: ClockState) -> dict[str, Any]:
    clocks = [
        [tp.topic, tp.partition, clock.watermark_ms, clock.explicit, clock.ahead_ms, clock.behind_ms]
        for tp, clock in state.partitions.items()
    ]
    return {
        "partitions": clocks,
        "watermark_ms": state.watermark_ms,
        "sequence": state.sequence,
        "waiting": sorted(state.waiting),
        "silent": _to_json(state.idle),
    }


def _state(state: dict[str, Any]) -> ClockState:
    clocks = {
        TopicPartition(topic, p): PartitionClock(at, explicit, *(tuple(times_ms) for times_ms in far))
        for topic, p, at, explicit, *far in state["partitions"]  # older versions stored no ``far``
    }
    waiting = frozenset(state["waiting"])
    return ClockState(clocks, state["watermark_ms"], state["sequence"], waiting, _from_json(state["silent"]))


def _to_json(partitions: Iterable[TopicPartition]) -> list[list[Any]]:
    return sorted([tp.topic, tp.partition] for tp in partitions)


def _from_json(partitions: list[list[Any]]) -> frozenset[TopicPartition]:
    return frozenset(TopicPartition(topic, p) for topic, p in partitions)
