"""The join's state in SQL: predictions, outcomes, releases, and one checkpoint of all positions and watermarks."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, astuple
from typing import Any

from sqlalchemy import Connection, Engine, Table, bindparam, delete, func, insert, select, update

from driftloop.bus.dedup import SourceOffsets
from driftloop.bus.ports import BatchConsumer
from driftloop.bus.topic_watch import created_again
from driftloop.contracts.predictions_pb2 import PredictionServed
from driftloop.events.envelope import Draft
from driftloop.events.prediction_writers import OpenWriter, PartitionWriters, PredictionWatermarks
from driftloop.process.clock import Clock
from driftloop.runner import outbox
from driftloop.runner.loop_positions import LoopPositions, from_beginning, positions_from_json, positions_to_json
from driftloop.runner.tables import reading
from services.monitoring import messages
from services.monitoring.adapters import restating
from services.monitoring.adapters.tables import checkpoint_table, outcomes, predictions, releases, windows
from services.monitoring.domain.monitor import ClosedWindow, GiveUpReason, LoopMonitor, WindowRules
from services.monitoring.domain.rows import OutcomeRow
from services.monitoring.domain.watermarks import Watermarks
from services.monitoring.domain.window import RestatedWindow
from services.monitoring.ports import Changes, JoinCheckpoint, KnownOutcomes, LoggedPrediction, ReleaseInfo


class SqlTransaction:
    """Implements `services.monitoring.ports.Transaction` on an open connection."""

    def __init__(self, connection: Connection, source: str, clock: Clock) -> None:
        self._connection = connection
        self._source = source
        self._clock = clock

    def add(self, changes: Changes) -> Sequence[Draft]:
        self._many(insert(predictions), [_prediction_row(prediction) for prediction in changes.predictions])
        self._many(insert(outcomes), [_outcome_row(loop, row) for loop, row in changes.outcomes])
        for release in changes.releases.values():
            same = (releases.c.loop == release.loop, releases.c.release_id == release.release_id)
            self._connection.execute(delete(releases).where(*same))
            self._connection.execute(insert(releases).values(asdict(release)))
        return [draft for draft in changes.given_up if self._put([draft])]

    def close(self, rules: WindowRules, closed: ClosedWindow) -> Sequence[RestatedWindow]:
        loop, joined, limit = rules.loop, closed.joined, closed.forget_before_ms
        settle = update(predictions).where(_loop_and(predictions, "prediction_id")).values(record=None)
        self._many(settle, _ids(loop, joined.settled))
        self._many(update(outcomes).where(_loop_and(outcomes, "row_id")).values(kept=1), _ids(loop, joined.kept))
        revalue = update(outcomes).where(_loop_and(outcomes, "row_id")).values(value=bindparam("now"))
        changed = joined.revalued.values()
        self._many(revalue, [{"of_loop": loop, "of_id": row.row_id, "now": row.value} for row in changed])
        self._many(delete(outcomes).where(_loop_and(outcomes, "row_id")), _ids(loop, joined.dropped))
        for table, settled in ((predictions, predictions.c.record.is_(None)), (outcomes, outcomes.c.kept == 1)):
            old = (table.c.loop == loop, table.c.visible_ms < limit)
            self._connection.execute(delete(table).where(*old, settled))
        restated = restating.restate(self._connection, rules, joined.corrections)
        restating.keep(self._connection, loop, closed)
        drafts = [messages.window_closed(loop, closed.window)]
        drafts += [messages.window_restated(loop, window, closed.window) for window in restated]
        self._put(drafts)
        return restated

    def save(self, monitors: Mapping[str, LoopMonitor], checkpoint: JoinCheckpoint) -> None:
        states = {name: _monitor_state(monitor, checkpoint.seen[name]) for name, monitor in monitors.items()}
        apart = checkpoint.loops.apart(checkpoint.positions)
        body = {
            "positions": positions_to_json(checkpoint.positions),
            "topic_ids": dict(checkpoint.topic_ids),
            "apart": {name: positions_to_json(positions) for name, positions in apart.items()},
            "loops": {**checkpoint.left_out, **states},
        }
        text = json.dumps(body)
        changed = self._connection.execute(update(checkpoint_table).values(body=text))
        if not changed.rowcount:
            self._connection.execute(insert(checkpoint_table).values(one=1, body=text))

    def _put(self, drafts: Sequence[Draft]) -> int:
        """Put events in the outbox; return how many are new."""
        now_ms = self._clock.now_ms()
        return outbox.put(self._connection, drafts, source=self._source, wall_time_ms=now_ms, cause=None)

    def _many(self, statement: Any, rows: Sequence[Mapping[str, Any]]) -> None:
        if rows:
            self._connection.execute(statement, rows)


def restore(
    engine: Engine, monitors: Mapping[str, LoopMonitor], consumer: BatchConsumer
) -> tuple[JoinCheckpoint, list[ReleaseInfo]]:
    """Restore the monitors from the database; return the positions in the consumer's topics and the known releases."""
    with reading(engine) as connection:
        body = connection.execute(select(checkpoint_table.c.body)).scalar_one_or_none()
        state = json.loads(body) if body else {"positions": [], "loops": {}}
        outcomes_read: dict[str, KnownOutcomes] = {}
        for name, monitor in monitors.items():
            if name in state["loops"]:
                _restore_state(monitor, state["loops"][name])
            elif (rows_read := _outcomes_read(connection, name)) is not None:
                monitor.closed_ms, outcomes_read[name] = rows_read.closed_ms, rows_read
            _restore_predictions(connection, monitor)
            _restore_outcomes(connection, monitor)
        known = [ReleaseInfo(**row._mapping) for row in connection.execute(select(releases)).all()]
    stored, ids = positions_from_json(state["positions"]), consumer.topic_ids()
    again = created_again(state.get("topic_ids", {}), ids, stored, consumer.end_offsets())
    read = from_beginning(stored, again)
    apart = {name: from_beginning(positions_from_json(rows), again) for name, rows in state.get("apart", {}).items()}
    loops = LoopPositions(read, apart, present=monitors, known=state["loops"])
    seen = {name: SourceOffsets.from_json(state["loops"].get(name, {}).get("seen", "{}")) for name in monitors}
    left_out = {name: stored for name, stored in state["loops"].items() if name not in monitors}
    return JoinCheckpoint(loops.start(), seen, ids, loops, outcomes_read, left_out), known


def _prediction_row(prediction: LoggedPrediction) -> dict[str, Any]:
    return {
        "loop": prediction.loop,
        "prediction_id": prediction.row.prediction_id,
        "key": prediction.row.key,
        "decision_ms": prediction.row.decision_ms,
        "visible_ms": prediction.row.visible_ms,
        "record": prediction.record,
    }


def _outcome_row(loop: str, row: OutcomeRow) -> dict[str, Any]:
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


def _ids(loop: str, ids: Sequence[str]) -> list[dict[str, str]]:
    return [{"of_loop": loop, "of_id": name} for name in ids]


def _monitor_state(monitor: LoopMonitor, seen: SourceOffsets) -> dict[str, Any]:
    return {
        "closed_ms": monitor.closed_ms,
        "outcomes": _watermark_state(monitor.outcome_watermarks),
        "predictions": [[part, newest, newest] for part, newest in monitor.prediction_watermarks.newest.items()],
        "writers": _writers_state(monitor.prediction_watermarks),
        "giving_up": [[*key, *astuple(reason)] for key, reason in monitor.giving_up.items()],
        "seen": seen.to_json(),
    }


def _writers_state(watermarks: PredictionWatermarks) -> list[list[Any]]:
    """Return partition, open writers and newest starts."""
    return [
        [partition, {name: list(known) for name, known in writers.open.items()}, writers.starts]
        for partition, writers in watermarks.writers.items()
    ]


def _watermark_state(watermarks: Watermarks) -> list[list[int]]:
    return [[partition, watermarks.first[partition], newest] for partition, newest in watermarks.newest.items()]


def _outcomes_read(connection: Connection, loop: str) -> KnownOutcomes | None:
    """Return what a loop without a stored state has read, or None if it never closed a window."""
    closed_ms = connection.execute(select(func.max(windows.c.end_ms)).where(windows.c.loop == loop)).scalar()
    if closed_ms is None:
        return None
    ids = connection.execute(select(outcomes.c.row_id).where(outcomes.c.loop == loop)).scalars()
    return KnownOutcomes(closed_ms, frozenset(ids))


def _restore_state(monitor: LoopMonitor, state: dict[str, Any]) -> None:
    monitor.closed_ms = state["closed_ms"]
    for partition, first, newest in state["outcomes"]:
        monitor.outcome_watermarks.advance(partition, first)
        monitor.outcome_watermarks.advance(partition, newest)
    watermarks = monitor.prediction_watermarks
    for partition, _, newest in state["predictions"]:
        watermarks.advance(partition, newest)
    # earlier versions knew one writer without a name
    former = [[partition, {"": [0, newest]}, {"": 0}] for partition, _, newest in state["predictions"]]
    for partition, opened, starts in state.get("writers", former):
        writers = {name: OpenWriter(*known) for name, known in opened.items()}
        watermarks.writers[partition] = PartitionWriters(writers, dict(starts))
    for writer, start, *reason in state.get("giving_up", []):
        monitor.giving_up[writer, start] = GiveUpReason(*reason)


def _restore_predictions(connection: Connection, monitor: LoopMonitor) -> None:
    closed_ms = monitor.closed_ms
    for row in connection.execute(select(predictions).where(predictions.c.loop == monitor.rules.loop)):
        if row.record is None:
            monitor.join.restore_settled(row.prediction_id, row.key, row.decision_ms, row.visible_ms)
            continue
        prediction = messages.prediction(PredictionServed.FromString(row.record), row.visible_ms, monitor.rules.classes)
        if closed_ms is not None and row.visible_ms < closed_ms:
            monitor.join.restore_open(prediction)
        else:
            monitor.join.add_predictions([prediction])


def _restore_outcomes(connection: Connection, monitor: LoopMonitor) -> None:
    for row in connection.execute(select(outcomes).where(outcomes.c.loop == monitor.rules.loop)):
        outcome = OutcomeRow(row.row_id, row.event_id, row.key, row.event_ms, row.visible_ms, row.value)
        if row.kept:
            monitor.join.restore_outcome(outcome)
        else:
            monitor.join.add_outcomes([outcome])
