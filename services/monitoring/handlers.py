"""Applies each record to the join. The table at the end lists the handlers."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cache
from typing import Any

import numpy as np
from google.protobuf.message import DecodeError, Message

from driftloop.bus.dedup import SourceOffsets
from driftloop.bus.ports import Record, TopicPartition
from driftloop.contracts import ingestion_pb2 as ingestion
from driftloop.contracts import predictions_pb2 as predictions
from driftloop.contracts import registry_pb2 as registry
from driftloop.contracts.topics import topic
from driftloop.events.envelope import from_record
from driftloop.process import log
from driftloop.process.errors import InvalidEvent
from driftloop.runner.loop_positions import EVERYTHING, LoopPositions
from services.monitoring import messages, metrics
from services.monitoring.domain.monitor import GiveUpReason, LoopMonitor
from services.monitoring.domain.rows import OutcomeRow
from services.monitoring.ports import Changes, KnownOutcomes, LoggedPrediction, ReleaseInfo

_PREDICTION = predictions.PredictionServed.DESCRIPTOR.full_name.encode()
_log = log.get(__name__)


@dataclass
class Intake:
    """The state that records change. Skips records of loops that are not watched, and those that a loop has read."""

    monitors: Mapping[str, LoopMonitor]
    seen: Mapping[str, SourceOffsets]
    releases: dict[tuple[str, str], ReleaseInfo]
    changes: Changes = field(default_factory=Changes)
    """Changes that are not in the database yet."""
    loops: LoopPositions = EVERYTHING
    known: Mapping[str, KnownOutcomes] = field(default_factory=dict)

    def handle(self, record: Record) -> None:
        """Handle one record.

        Raises:
            InvalidEvent: the record can never be handled; it has changed nothing.
        """
        message = read(record)
        place = TopicPartition(record.topic, record.partition)
        if message.loop in self.monitors and self.loops.is_new(message.loop, place, record.offset):
            HANDLERS[type(message)](self, record, message)

    def take_changes(self) -> Changes:
        """Return the changes, and start a new list."""
        changes, self.changes = self.changes, Changes()
        return changes

    def update_release(self, loop: str, release_id: str, **known: str) -> None:
        old = self.releases.get((loop, release_id), ReleaseInfo(loop, release_id))
        new = replace(old, **known)
        if new != old:
            self.releases[loop, release_id] = self.changes.releases[f"{loop}/{release_id}"] = new


def read(record: Record) -> Any:
    """Return the message of a record.

    Of a prediction, which there are many of, the type is the only header that is read. Its handler checks its values.

    Raises:
        InvalidEvent: the record is not an event of its topic (`from_record`).
    """
    if record.header("ce_type") != _PREDICTION:
        return from_record(record, readable(record.topic)).data
    if predictions.PredictionServed not in readable(record.topic):
        raise InvalidEvent("unknown-type", f"a prediction is not declared for {record.topic}")
    try:
        return predictions.PredictionServed.FromString(record.value or b"")
    except DecodeError as error:
        raise InvalidEvent("malformed-message", str(error)) from error


@cache
def readable(name: str) -> Sequence[type[Message]]:
    """Return the messages of a topic that have a handler."""
    declared = topic(name).messages
    return [message for message in HANDLERS if message.DESCRIPTOR.full_name in declared]


def prediction_served(intake: Intake, record: Record, message: predictions.PredictionServed) -> None:
    """Keep a client's prediction. A probe only tests the route and is not joined."""
    monitor = intake.monitors[message.loop]
    watermark_ms = monitor.prediction_watermarks.newest.get(record.partition)
    visible_ms = max(message.decision_time_ms, watermark_ms or message.decision_time_ms)
    row = messages.prediction(message, visible_ms, monitor.rules.classes)
    if message.purpose == predictions.PROBE:
        metrics.PROBES.add(loop=message.loop)
    elif monitor.join.add_predictions([row]):
        intake.changes.predictions.append(LoggedPrediction(message.loop, row, record.value or b""))
        metrics.PREDICTIONS.add(loop=message.loop)
    else:
        metrics.REPEATED.add(loop=message.loop)


def writer_changed(intake: Intake, record: Record, message: Any) -> None:
    """Apply a watermark, a join or a leave of a writer to the watermark of a partition."""
    watermarks = intake.monitors[message.loop].prediction_watermarks
    if message.start < watermarks.newest_start(record.partition, message.writer):
        metrics.OLDER_STARTS.add(loop=message.loop, writer=message.writer)
    watermarks.apply(record.partition, message)


def give_up(intake: Intake, record: Record, message: predictions.GiveUp) -> None:
    """Close a start of a writer in a partition, and report it."""
    closed = intake.monitors[message.loop].prediction_watermarks.apply(record.partition, message)
    if closed is not None and closed.start == message.start:
        intake.changes.given_up.append(messages.writer_given_up(message, closed.watermark_ms))


def give_up_asked(intake: Intake, _record: Record, message: predictions.GiveUpAsked) -> None:
    """Keep the request; the join writes the give-up to every partition."""
    reason = GiveUpReason("command", message.who, message.why)
    if not intake.monitors[message.loop].ask_give_up(message.writer, reason):
        _log.warning("no-such-writer", loop=message.loop, writer=message.writer, who=message.who)


def outcomes_accepted(intake: Intake, record: Record, message: ingestion.OutcomesAccepted) -> None:
    """Keep the outcomes that are not redelivered."""
    monitor = intake.monitors[message.loop]
    outcomes = messages.outcomes(message, monitor.rules.kind, monitor.rules.classes)
    rows = _fresh(intake.seen[message.loop], record.partition, outcomes)
    if (known := intake.known.get(message.loop)) is not None:
        rows = [row for row in rows if not known.has(row)]
    monitor.join.add_outcomes(rows)
    intake.changes.outcomes += [(message.loop, row) for row in rows]


def _fresh(seen: SourceOffsets, partition: int, rows: Sequence[messages.SourcedOutcome]) -> list[OutcomeRow]:
    """Return the new rows. Within a partition, the rows of one raw partition arrive in its order."""
    by_source: dict[str, list[messages.SourcedOutcome]] = {}
    for row in rows:
        by_source.setdefault(row.source, []).append(row)
    fresh: list[OutcomeRow] = []
    for source, part in by_source.items():
        mask = seen.fresh(f"{partition}<{source}", np.array([row.offset for row in part]))
        fresh += [row.row for row, is_new in zip(part, mask, strict=True) if is_new]
    return fresh


def outcome_watermark(intake: Intake, record: Record, message: ingestion.OutcomeWatermark) -> None:
    """Advance the outcome watermark of a partition."""
    intake.monitors[message.loop].outcome_watermarks.advance(record.partition, message.watermark_ms)


def route_changed(intake: Intake, _record: Record, message: registry.RouteChanged) -> None:
    """Record the bundle addresses of the releases in a route."""
    for release in (message.champion, message.challenger):
        if release.release_id:
            known = {"uri": release.bundle.uri, "digest": release.bundle.digest}
            intake.update_release(message.loop, release.release_id, **known)


def stage_entered(intake: Intake, _record: Record, message: registry.StageEntered) -> None:
    """Record the stage of a release."""
    intake.update_release(message.loop, message.release_id, stage=message.stage)


HANDLERS: dict[type[Message], Callable[[Intake, Record, Any], None]] = {
    predictions.PredictionServed: prediction_served,
    predictions.PredictionWatermark: writer_changed,
    predictions.WriterJoined: writer_changed,
    predictions.WriterLeft: writer_changed,
    predictions.GiveUp: give_up,
    predictions.GiveUpAsked: give_up_asked,
    ingestion.OutcomesAccepted: outcomes_accepted,
    ingestion.OutcomeWatermark: outcome_watermark,
    registry.RouteChanged: route_changed,
    registry.StageEntered: stage_entered,
}
