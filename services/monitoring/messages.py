"""Between messages and the domain's rows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import isfinite

import numpy as np
import pyarrow as pa

from driftloop.contracts import ingestion_pb2 as ingestion
from driftloop.contracts import monitoring_pb2 as monitoring
from driftloop.contracts import predictions_pb2 as predictions
from driftloop.events import ids
from driftloop.events.envelope import Draft, rfc3339
from driftloop.process.errors import InvalidEvent
from services.monitoring.domain.rows import Outcome, Prediction, ReleaseScore
from services.monitoring.domain.window import ReleaseSums, Restated, Window

OUTCOME_COLUMNS = (
    "event_id", "event_time_ms", "arrival_watermark_ms", "source_topic", "source_partition", "source_offset",
    "key", "value",
)  # fmt: skip


def prediction(message: predictions.PredictionServed, visible_ms: int, classes: int) -> Prediction:
    """A logged prediction as a row. ``classes``: how many its loop's label has, 0 where it is a number.

    Raises:
        InvalidEvent: it names no id, no key or no release, or scores another number of classes.
    """
    if not (message.prediction_id and message.key and message.release_id):
        raise InvalidEvent("missing-field", "a prediction needs prediction_id, key and release_id")
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
    )


def _scores(message: predictions.PredictionServed, classes: int) -> tuple[ReleaseScore, ...]:
    if not classes:
        return tuple(ReleaseScore(each.release_id, each.role, each.score) for each in message.scores)
    found = tuple(
        ReleaseScore(each.release_id, each.role, each.score, tuple(each.class_scores)) for each in message.scores
    )
    odd = next((each for each in found if len(each.classes) != classes), None)
    if odd is not None:
        raise InvalidEvent(
            "other-classes", f"{odd.release_id} scores {len(odd.classes)} classes, the loop has {classes}"
        )
    return found


@dataclass(frozen=True, slots=True)
class SourcedOutcome:
    """An outcome and where it stood: ``source`` is topic and partition of the raw record."""

    source: str
    offset: int
    row: Outcome


def outcomes(message: ingestion.OutcomesAccepted) -> list[SourcedOutcome]:
    """Rows in their order; those with no key or no finite value are left out.

    Raises:
        InvalidEvent: the bytes are no Arrow stream, or a column is missing or of another type.
    """
    try:
        with pa.ipc.open_stream(message.rows) as stream:
            table = stream.read_all()
        columns = [table.column(name).to_pylist() for name in OUTCOME_COLUMNS]
        return [
            _outcome(*row)
            for row in zip(*columns, strict=True)
            if row[-1] is not None and isfinite(row[-1]) and row[-2]
        ]
    except (pa.ArrowException, OSError, KeyError, TypeError) as error:
        raise InvalidEvent("malformed-rows", str(error)) from error


def _outcome(
    event_id: str, time_ms: int, arrival_ms: int, topic: str, partition: int, offset: int, key: str, value: float
) -> SourcedOutcome:
    row = Outcome(f"{topic}/{partition}/{offset}", event_id, key, time_ms, max(time_ms, arrival_ms), float(value))
    return SourcedOutcome(f"{topic}/{partition}", offset, row)


def window_id(loop: str, start_ms: int) -> str:
    """Name of a window, such as ``orders/2026-01-01T00:00:00.000Z``."""
    return f"{loop}/{rfc3339(start_ms)}"


def window_closed(loop: str, window: Window) -> Draft:
    """The event of a closed window; its event time is the window's end."""
    data = monitoring.WindowClosed(
        loop=loop,
        window_id=window_id(loop, window.start_ms),
        start_ms=window.start_ms,
        end_ms=window.end_ms,
        releases=_releases(window.releases),
        paired=_paired(window),
        histograms=_histograms(window),
        joins=_joins(window),
        predictions=window.predictions,
        champion_release_id=window.champion,
    )
    return Draft(ids.event_id("monitoring.window-closed", loop, window.end_ms), loop, window.end_ms, data)


def window_restated(loop: str, restated: Restated, known_by: Window) -> Draft:
    """The event of a window whose outcomes were corrected; its event time is the end of the window that told of it."""
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


def _releases(sums: Sequence[ReleaseSums]) -> list[monitoring.ReleaseWindow]:
    return [
        monitoring.ReleaseWindow(
            release_id=each.release_id,
            role=each.role,
            count=each.count,
            loss_sum=each.loss,
            score_sum=each.score,
            outcome_sum=each.outcome,
            residual_sum=each.residual,
            residual_square_sum=each.residual_square,
            answered=each.answered,
        )
        for each in sums
    ]


def _paired(window: Window) -> list[monitoring.PairedBlock]:
    return [
        monitoring.PairedBlock(
            champion_release_id=each.champion,
            challenger_release_id=each.challenger,
            block_start_ms=window.start_ms,
            count=each.count,
            champion_loss_sum=each.champion_loss,
            challenger_loss_sum=each.challenger_loss,
            slice=each.slice,
        )
        for each in window.paired
    ]


def _histograms(window: Window) -> list[monitoring.Histogram]:
    return [
        monitoring.Histogram(
            release_id=each.release_id, name=each.name, counts=each.counts, missing=each.missing, psi=each.psi
        )
        for each in window.histograms
    ]


def _joins(window: Window) -> monitoring.JoinCounts:
    each = window.joins
    return monitoring.JoinCounts(
        joined=each.joined,
        late=each.late,
        missing=each.missing,
        duplicate=each.duplicate,
        corrected=each.corrected,
        unpredicted=each.unpredicted,
        overdue=each.overdue,
    )
