"""The join's state in SQL: predictions, outcomes, releases, and one checkpoint of all positions and watermarks."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from sqlalchemy import Connection, Engine, Table, bindparam, delete, insert, select, update

from driftloop.bus.dedup import SourceOffsets
from driftloop.bus.ports import TopicPartition
from driftloop.contracts.predictions_pb2 import PredictionServed
from driftloop.process.clock import Clock
from driftloop.runner import outbox
from services.monitoring import messages
from services.monitoring.adapters import restating
from services.monitoring.adapters.tables import checkpoint_table, outcomes, predictions, releases
from services.monitoring.domain.monitor import Closed, LoopMonitor, Rules
from services.monitoring.domain.rows import Outcome
from services.monitoring.domain.watermarks import Watermarks
from services.monitoring.domain.window import Restated
from services.monitoring.ports import Changes, Checkpoint, LoggedPrediction, Release


class SqlTransaction:
    """Implements `services.monitoring.ports.Transaction` on an open connection."""

    def __init__(self, connection: Connection, source: str, clock: Clock) -> None:
        self._connection = connection
        self._source = source
        self._clock = clock

    def add(self, changes: Changes) -> None:
        self._many(insert(predictions), [_prediction_row(each) for each in changes.predictions])
        self._many(insert(outcomes), [_outcome_row(loop, row) for loop, row in changes.outcomes])
        for each in changes.releases.values():
            same = (releases.c.loop == each.loop, releases.c.release_id == each.release_id)
            self._connection.execute(delete(releases).where(*same))
            self._connection.execute(insert(releases).values(asdict(each)))

    def close(self, rules: Rules, closed: Closed) -> Sequence[Restated]:
        loop, joined, limit = rules.loop, closed.joined, closed.forget_before_ms
        settle = update(predictions).where(_loop_and(predictions, "prediction_id")).values(record=None)
        self._many(settle, _ids(loop, joined.settled))
        self._many(update(outcomes).where(_loop_and(outcomes, "row_id")).values(kept=1), _ids(loop, joined.kept))
        revalue = update(outcomes).where(_loop_and(outcomes, "row_id")).values(value=bindparam("now"))
        values = [{"of_loop": loop, "of_id": each.row_id, "now": each.value} for each in joined.revalued.values()]
        self._many(revalue, values)
        self._many(delete(outcomes).where(_loop_and(outcomes, "row_id")), _ids(loop, joined.dropped))
        for table, settled in ((predictions, predictions.c.record.is_(None)), (outcomes, outcomes.c.kept == 1)):
            old = (table.c.loop == loop, table.c.visible_ms < limit)
            self._connection.execute(delete(table).where(*old, settled))
        restated = restating.restate(self._connection, rules, joined.corrections)
        restating.keep(self._connection, loop, closed)
        drafts = [messages.window_closed(loop, closed.window)]
        drafts += [messages.window_restated(loop, each, closed.window) for each in restated]
        outbox.put(self._connection, drafts, source=self._source, wall_time_ms=self._clock.now_ms(), cause=None)
        return restated

    def save(self, monitors: Mapping[str, LoopMonitor], checkpoint: Checkpoint) -> None:
        body = {
            "positions": [[tp.topic, tp.partition, offset] for tp, offset in checkpoint.positions.items()],
            "loops": {name: _monitor_state(each, checkpoint.seen[name]) for name, each in monitors.items()},
        }
        text = json.dumps(body)
        changed = self._connection.execute(update(checkpoint_table).values(body=text))
        if not changed.rowcount:
            self._connection.execute(insert(checkpoint_table).values(one=1, body=text))

    def _many(self, statement: Any, rows: Sequence[Mapping[str, Any]]) -> None:
        if rows:
            self._connection.execute(statement, rows)


def recall(engine: Engine, monitors: Mapping[str, LoopMonitor]) -> tuple[Checkpoint, list[Release]]:
    """Restore the monitors from the database; return the input positions and the known releases."""
    with engine.connect() as connection:
        body = connection.execute(select(checkpoint_table.c.body)).scalar_one_or_none()
        state = json.loads(body) if body else {"positions": [], "loops": {}}
        for name, monitor in monitors.items():
            _recall_state(monitor, state["loops"].get(name))
            _recall_predictions(connection, monitor)
            _recall_outcomes(connection, monitor)
        known = [Release(**row._mapping) for row in connection.execute(select(releases)).all()]
    positions = {TopicPartition(topic, partition): offset for topic, partition, offset in state["positions"]}
    seen = {name: SourceOffsets.from_json(state["loops"].get(name, {}).get("seen", "{}")) for name in monitors}
    return Checkpoint(positions, seen), known


def _prediction_row(each: LoggedPrediction) -> dict[str, Any]:
    return {
        "loop": each.loop,
        "prediction_id": each.row.prediction_id,
        "key": each.row.key,
        "decision_ms": each.row.decision_ms,
        "visible_ms": each.row.visible_ms,
        "record": each.record,
    }


def _outcome_row(loop: str, row: Outcome) -> dict[str, Any]:
    return {
        "loop": loop,
        "row_id": row.row_id,
        "event_id": row.event_id,
        "key": row.key,
        "event_ms": row.event_ms,
        "visible_ms": row.visible_ms,
        "value": row.value,
        "kept": 0,
    }


def _loop_and(table: Table, column: str) -> Any:
    return (table.c.loop == bindparam("of_loop")) & (table.c[column] == bindparam("of_id"))


def _ids(loop: str, found: Sequence[str]) -> list[dict[str, str]]:
    return [{"of_loop": loop, "of_id": each} for each in found]


def _monitor_state(monitor: LoopMonitor, seen: SourceOffsets) -> dict[str, Any]:
    return {
        "closed_ms": monitor.closed_ms,
        "outcomes": _watermark_state(monitor.outcome_watermarks),
        "predictions": _watermark_state(monitor.prediction_watermarks),
        "seen": seen.to_json(),
    }


def _watermark_state(watermarks: Watermarks) -> list[list[int]]:
    return [[partition, watermarks.first[partition], newest] for partition, newest in watermarks.newest.items()]


def _recall_state(monitor: LoopMonitor, state: dict[str, Any] | None) -> None:
    if state is None:
        return
    monitor.closed_ms = state["closed_ms"]
    for watermarks, rows in (
        (monitor.outcome_watermarks, state["outcomes"]),
        (monitor.prediction_watermarks, state["predictions"]),
    ):
        for partition, first, newest in rows:
            watermarks.hear(partition, first)
            watermarks.hear(partition, newest)


def _recall_predictions(connection: Connection, monitor: LoopMonitor) -> None:
    closed_ms = monitor.closed_ms
    for row in connection.execute(select(predictions).where(predictions.c.loop == monitor.rules.loop)):
        if row.record is None:
            monitor.join.recall_settled(row.prediction_id, row.key, row.decision_ms, row.visible_ms)
            continue
        found = messages.prediction(PredictionServed.FromString(row.record), row.visible_ms, monitor.rules.classes)
        if closed_ms is not None and row.visible_ms < closed_ms:
            monitor.join.recall_open(found)
        else:
            monitor.join.add_predictions([found])


def _recall_outcomes(connection: Connection, monitor: LoopMonitor) -> None:
    for row in connection.execute(select(outcomes).where(outcomes.c.loop == monitor.rules.loop)):
        found = Outcome(row.row_id, row.event_id, row.key, row.event_ms, row.visible_ms, row.value)
        if row.kept:
            monitor.join.recall_outcome(found)
        else:
            monitor.join.add_outcomes([found])
