"""What became of each release, and how each did, from events alone. Pure."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from itertools import groupby
from typing import Any

from driftloop.contracts import evaluation_pb2 as evaluation
from driftloop.contracts import monitoring_pb2 as monitoring
from driftloop.events.envelope import Envelope, rfc3339
from driftloop.readmodel.event_text import result_of
from driftloop.readmodel.releases import StageAt, release_states


def releases(events: Iterable[Envelope[Any]]) -> list[dict[str, Any]]:
    """Each release with its stages and verdicts, in the order of their first mention."""
    return [
        {
            "id": each.release_id,
            "stages": _stages(each.stages),
            "verdicts": [_verdict(event) for event in each.verdicts],
        }
        for each in release_states(events)
    ]


def quality(events: Iterable[Envelope[Any]]) -> list[dict[str, Any]]:
    """Mean loss and mean residual (score less outcome) of each release in each closed window that has any.

    Those of a window that was restated are with its corrected outcomes; ``corrections`` says how many there were.
    """
    events = list(events)
    newest: dict[str, monitoring.WindowRestated] = {}
    corrections: dict[str, int] = defaultdict(int)
    for data in sorted(_restated(events), key=lambda each: each.known_by_window_id):
        newest[data.window_id] = data
        corrections[data.window_id] += data.corrections
    return [
        {
            "window_end": rfc3339(event.data.end_ms),
            "release": row.release_id,
            "role": row.role,
            "count": row.count,
            "loss": row.loss_sum / row.count,
            "residual": row.residual_sum / row.count,
            "corrections": corrections[event.data.window_id],
        }
        for event in events
        if isinstance(event.data, monitoring.WindowClosed)
        for row in (newest[event.data.window_id].after if event.data.window_id in newest else event.data.releases)
        if row.count
    ]


def _restated(events: Iterable[Envelope[Any]]) -> list[monitoring.WindowRestated]:
    return [event.data for event in events if isinstance(event.data, monitoring.WindowRestated)]


def outcomes(events: Iterable[Envelope[Any]]) -> dict[str, int]:
    """Join counts, summed over all closed windows; `restated`: outcomes of closed windows that got another value."""
    total: dict[str, int] = defaultdict(int)
    for event in events:
        if isinstance(event.data, monitoring.WindowRestated):
            total["restated"] += event.data.corrections
        if isinstance(event.data, monitoring.WindowClosed):
            for field in event.data.joins.DESCRIPTOR.fields:
                total[field.name] += getattr(event.data.joins, field.name)
    return dict(total)


def _stages(entered: Iterable[StageAt]) -> list[dict[str, Any]]:
    """A stage that was entered again with the same share, as a route is made again, stands once."""
    by_share = groupby(entered, key=lambda each: (each.stage, each.share))
    return [{"stage": stage, "share": share, "at": rfc3339(next(each).since_ms)} for (stage, share), each in by_share]


def _verdict(event: Envelope[evaluation.VerdictReached]) -> dict[str, Any]:
    verdict = event.data
    interval = verdict.interval
    return {
        "stage": verdict.stage,
        "outcome": result_of(verdict),
        "estimate": interval.estimate,
        "lower": interval.lower,
        "upper": interval.upper,
        "level": interval.level,
        "blocks": interval.blocks,
        "rows": interval.rows,
        "margin": verdict.margin,
        "limit_reached": verdict.limit_reached,
        "reasons": list(verdict.reasons),
        "at": rfc3339(event.time_ms),
    }
