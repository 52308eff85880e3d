"""Converts between messages and the rows of the join."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace

import numpy as np
import pyarrow as pa

from driftloop.bus.ports import Outgoing
from driftloop.contracts import ingestion_pb2 as ingestion
from driftloop.contracts import monitoring_pb2 as monitoring
from driftloop.contracts import predictions_pb2 as predictions
from driftloop.events import ids
from driftloop.events.arrow_rows import read_rows
from driftloop.events.envelope import Draft, from_draft, rfc3339, to_record
from driftloop.events.message_check import check_message
from driftloop.model.labels import LabelKind, valid_outcomes
from driftloop.process.errors import InvalidEvent
from services.monitoring.domain.monitor import GiveUpReason
from services.monitoring.domain.rows import OutcomeRow, Prediction, ReleaseScore
from services.monitoring.domain.window import ReleaseSums, RestatedWindow, Window

OUTCOME_COLUMNS: Mapping[str, pa.DataType] = {
    "event_id": pa.string(),
    "event_time_ms": pa.int64(),
    "arrival_watermark_ms": pa.int64(),
    "source_topic": pa.string(),
    "source_partition": pa.int32(),
    "source_offset": pa.int64(),
    "key": pa.string(),
    "value": pa.float64(),
}


def prediction(message: predictions.PredictionServed, visible_ms: int, classes: int) -> Prediction:
    """Return a logged prediction as a row. ``classes``: number of classes of the label, 0 if it is a number.

    Raises:
        InvalidEvent: the id, key or release is missing, a value cannot be used (`check_message`), or it scores another
            number of classes.
    """
    if not (message.prediction_id and message.key and message.release_id):
        raise InvalidEvent("missing-field", "a prediction must have prediction_id, key and release_id")
    check_message(message)
    return Prediction(
        prediction_id=message.prediction_id,
        key=message.key,
        decision_ms=message.decision_time_ms,
        visible_ms=visible_ms,
        release_id=message.release_id,
        scores=_scores(message, classes),
        input_digest=message.input_digest,
        numeric=np.array(message.numeric, dtype=np.float64),
        categorical=tuple(message.categorical),
        sliced={entry.name: entry.value for entry in message.slice_inputs},
    )


def _scores(message: predictions.PredictionServed, classes: int) -> tuple[ReleaseScore, ...]:
    if not classes:
        return tuple(ReleaseScore(score.release_id, score.role, score.score) for score in message.scores)
    scores = tuple(
        ReleaseScore(score.release_id, score.role, score.score, tuple(score.class_scores)) for score in message.scores
    )
    for score in scores:
        if len(score.classes) != classes:
            raise InvalidEvent(
                "other-classes", f"{score.release_id} scores {len(score.classes)} classes, the loop has {classes}"
            )
    return scores


@dataclass(frozen=True, slots=True)
class SourcedOutcome:
    """An outcome with the position of its raw record; ``source`` is topic and partition."""

    source: str
    offset: int
    row: OutcomeRow


def outcomes(message: ingestion.OutcomesAccepted, kind: LabelKind, classes: int) -> list[SourcedOutcome]:
    """Return the rows in their order, without those that have no key or no value of the label.

    Raises:
        InvalidEvent: as `read_rows`, or a column is missing or has another type.
    """
    rows = read_rows(message.rows, message.num_rows)
    for name, column_type in OUTCOME_COLUMNS.items():
        if name not in rows.schema.names or rows.schema.field(name).type != column_type:
            raise InvalidEvent("malformed-rows", f"outcomes need a column {name} of type {column_type}")
    columns = [rows.column(name).to_pylist() for name in OUTCOME_COLUMNS]
    values = np.array([math.nan if value is None else value for value in columns[-1]], dtype=np.float64)
    valid = valid_outcomes(kind, values, classes).tolist()
    return [
        _outcome(*row) for row, is_valid in zip(zip(*columns, strict=True), valid, strict=True) if is_valid and row[-2]
    ]


def _outcome(
    event_id: str, time_ms: int, arrival_ms: int, topic: str, partition: int, offset: int, key: str, value: float
) -> SourcedOutcome:
    row = OutcomeRow(f"{topic}/{partition}/{offset}", event_id, key, time_ms, max(time_ms, arrival_ms), float(value))
    return SourcedOutcome(f"{topic}/{partition}", offset, row)


def window_id(loop: str, start_ms: int) -> str:
    """Return the name of a window, such as ``orders/2026-01-01T00:00:00.000Z``."""
    return f"{loop}/{rfc3339(start_ms)}"


def window_closed(loop: str, window: Window) -> Draft:
    """Return the event of a closed window; its event time is the window's end."""
    data = monitoring.WindowClosed(
        loop=loop,
        window_id=window_id(loop, window.start_ms),
        start_ms=window.start_ms,
        end_ms=window.end_ms,
        releases=_releases(window.releases),
        paired=_paired(window),
        histograms=[monitoring.Histogram(**asdict(histogram)) for histogram in window.histograms],
        joins=monitoring.JoinCounts(**asdict(window.joins)),
        predictions=window.predictions,
        champion_release_id=window.champion,
        slices=[
            monitoring.SliceWindow(
                release_id=sums.release_id,
                slice=sums.slice,
                count=sums.count,
                loss_sum=sums.loss,
                score_sum=sums.score,
                outcome_sum=sums.outcome,
            )
            for sums in window.slices
        ],
    )
    return Draft(ids.event_id("monitoring.window-closed", loop, window.end_ms), loop, window.end_ms, data)


def window_restated(loop: str, restated: RestatedWindow, known_by: Window) -> Draft:
    """Return the event of a restated window; its event time is the end of the window whose close restated it."""
    data = monitoring.WindowRestated(
        loop=loop,
        window_id=window_id(loop, restated.start_ms),
        start_ms=restated.start_ms,
        end_ms=restated.end_ms,
        before=_releases(restated.before),
        after=_releases(restated.after),
        corrections=restated.corrections,
        known_by_window_id=window_id(loop, known_by.start_ms),
    )
    identity = ids.event_id("monitoring.window-restated", loop, restated.end_ms, known_by.end_ms)
    return Draft(identity, loop, known_by.end_ms, data)


def writer_given_up(record: predictions.GiveUp, watermark_ms: int | None) -> Draft:
    """Return the event of a start of a writer for which windows no longer wait. It starts a chain."""
    data = monitoring.WriterGivenUp(
        loop=record.loop,
        writer=record.writer,
        start=record.start,
        watermark_ms=watermark_ms or 0,
        because=record.because,
        who=record.who,
        why=record.why,
    )
    identity = ids.event_id("monitoring.writer-given-up", record.loop, record.writer, record.start)
    return Draft(identity, record.loop, data.watermark_ms, data)


def give_up(loop: str, writer: str, start: int, reason: GiveUpReason, partitions: int, now_ms: int) -> list[Outgoing]:
    """Return the records that close a start of a writer, one for each partition of the prediction log."""
    data = predictions.GiveUp(
        loop=loop, writer=writer, start=start, because=reason.because, who=reason.who, why=reason.why
    )
    identity = ids.event_id("predictions.give-up", loop, writer, start)
    draft = Draft(identity, loop, 0, data)
    event = from_draft(draft, source="monitoring", wall_time_ms=now_ms, cause=None, traceparent=None)
    return [replace(to_record(event, loop), partition=partition) for partition in range(partitions)]


def _releases(sums: Sequence[ReleaseSums]) -> list[monitoring.ReleaseWindow]:
    return [
        monitoring.ReleaseWindow(
            release_id=release.release_id,
            role=release.role,
            count=release.count,
            loss_sum=release.loss,
            score_sum=release.score,
            outcome_sum=release.outcome,
            residual_sum=release.residual,
            residual_square_sum=release.residual_square,
            answered=release.answered,
        )
        for release in sums
    ]


def _paired(window: Window) -> list[monitoring.PairedBlock]:
    return [
        monitoring.PairedBlock(
            champion_release_id=paired.champion,
            challenger_release_id=paired.challenger,
            block_start_ms=window.start_ms,
            count=paired.count,
            champion_loss_sum=paired.champion_loss,
            challenger_loss_sum=paired.challenger_loss,
            slice=paired.slice,
        )
        for paired in window.paired
    ]
