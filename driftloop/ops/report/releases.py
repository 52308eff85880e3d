"""Stages, verdicts, quality and join counts of releases, from events alone. Pure."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from itertools import groupby
from typing import Any

from driftloop.contracts import evaluation_pb2 as evaluation
from driftloop.contracts import monitoring_pb2 as monitoring
from driftloop.events.envelope import Envelope, rfc3339
from driftloop.readmodel.event_text import result_of
from driftloop.readmodel.loop_history import LoopHistory
from driftloop.readmodel.releases import StageAt


def releases(history: LoopHistory) -> list[dict[str, Any]]:
    """Return each release with its stages and verdicts, in the order of first mention."""
    return [
        {
            "id": release.release_id,
            "stages": _stages(release.stages),
            "verdicts": [_verdict(event) for event in release.verdicts],
        }
        for release in history.releases.values()
    ]


def quality(history: LoopHistory) -> list[dict[str, Any]]:
    """Return mean loss and mean residual (score minus outcome) per closed window and release with outcomes.

    A restated window uses its corrected outcomes; ``corrections`` is their number.
    """
    newest: dict[str, monitoring.WindowRestated] = {}
    corrections: dict[str, int] = defaultdict(int)
    for event in sorted(history.of_kind(monitoring.WindowRestated), key=lambda event: event.data.known_by_window_id):
        data = event.data
        newest[data.window_id] = data
        corrections[data.window_id] += data.corrections
    return [
        {
            "window_end": rfc3339(window.data.end_ms),
            "release": row.release_id,
            "role": row.role,
            "count": row.count,
            "loss": row.loss_sum / row.count,
            "residual": row.residual_sum / row.count,
            "corrections": corrections[window.data.window_id],
        }
        for window in history.of_kind(monitoring.WindowClosed)
        for row in (newest[window.data.window_id].after if window.data.window_id in newest else window.data.releases)
        if row.count
    ]


def outcomes(history: LoopHistory) -> dict[str, int]:
    """Return join counts over all closed windows; `restated` counts corrected outcomes of closed windows."""
    restated = history.of_kind(monitoring.WindowRestated)
    corrected = {"restated": sum(event.data.corrections for event in restated)} if restated else {}
    return {**join_counts(history.of_kind(monitoring.WindowClosed)), **corrected}


def join_counts(windows: Iterable[Envelope[monitoring.WindowClosed]]) -> dict[str, int]:
    """Return the sum of each join count over some closed windows."""
    total: dict[str, int] = defaultdict(int)
    for window in windows:
        for field in window.data.joins.DESCRIPTOR.fields:
            total[field.name] += getattr(window.data.joins, field.name)
    return dict(total)


def _stages(entered: Iterable[StageAt]) -> list[dict[str, Any]]:
    """Return stages without repeats: a rebuilt route enters the same stage and share again."""
    by_share = groupby(entered, key=lambda stage: (stage.stage, stage.share))
    return [
        {"stage": stage, "share": share, "at": rfc3339(next(repeats).since_ms)} for (stage, share), repeats in by_share
    ]


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
