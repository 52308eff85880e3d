"""How a release did in production, window by window and stage by stage, against its paired release. Pure."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import Any

from driftloop.contracts import monitoring_pb2 as monitoring
from driftloop.drift.statistics import Block, read_statistic
from driftloop.events.envelope import rfc3339
from driftloop.ops.report.effect import mean
from driftloop.ops.report.releases import join_counts
from driftloop.readmodel.loop_history import LoopHistory
from driftloop.readmodel.releases import ReleaseState, StageAt


def windows(release: ReleaseState, history: LoopHistory) -> list[dict[str, Any]]:
    """Return each window that has outcomes of the release, in event time.

    ``stage`` is the newest stage that the release entered by the start of the window; the outcomes may belong to
    predictions of earlier stages. ``paired_*`` are mean losses on the rows that both releases of a pair scored; None
    without a pair.
    """
    return [
        _window(event.data, sums, release.stages)
        for event in history.closed_windows()
        for sums in event.data.releases
        if sums.release_id == release.release_id and sums.count
    ]


def phases(windows: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the totals of each stage in the order of its first window; means are weighted by outcomes."""
    by_stage: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for row in windows:
        by_stage[row["stage"]].append(row)
    return [_phase(stage, rows) for stage, rows in by_stage.items()]


def calibration(windows: Sequence[dict[str, Any]]) -> dict[str, Any] | None:
    """Return the mean residual (score minus outcome) as champion and its distance from 0 in standard errors.

    The window is the unit. None below two windows.
    """
    rows = [row for row in windows if row["role"] == "champion"]
    blocks = [Block(row["window_end"], row["count"], row["residual"], row["loss"], {}) for row in rows]
    reading = read_statistic("block_residual", blocks, len(blocks))
    if reading is None:
        return None
    total = mean("", rows)
    return {"windows": len(rows), "residual": total["residual"], "standard_errors": reading.statistic}


def missing_inputs(release_id: str, history: LoopHistory) -> dict[str, float]:
    """Return the share of answers in which each input was missing, also because its view was too old."""
    missing: dict[str, int] = defaultdict(int)
    rows: dict[str, int] = defaultdict(int)
    for event in history.of_kind(monitoring.WindowClosed):
        for histogram in event.data.histograms:
            if histogram.release_id == release_id and histogram.name != "score":
                missing[histogram.name] += histogram.missing
                rows[histogram.name] += histogram.missing + sum(histogram.counts)
    return {name: missing[name] / rows[name] for name in missing if rows[name]}


def joins(release_id: str, history: LoopHistory) -> dict[str, int]:
    """Return join counts over the windows in which the release was champion."""
    closed = history.of_kind(monitoring.WindowClosed)
    return join_counts(event for event in closed if event.data.champion_release_id == release_id)


def _window(data: monitoring.WindowClosed, sums: monitoring.ReleaseWindow, stages: Sequence[StageAt]) -> dict[str, Any]:
    entered = [stage.stage for stage in stages if stage.since_ms <= data.start_ms]
    pair = next((block for block in data.paired if not block.slice and _is_in(sums.release_id, block)), None)
    row = {
        "window_end": rfc3339(data.end_ms),
        "role": sums.role,
        "release": sums.release_id,
        "stage": entered[-1] if entered else sums.role,
        "count": sums.count,
        "answered": sums.answered,
        "loss": sums.loss_sum / sums.count,
        "residual": sums.residual_sum / sums.count,
    }
    return {**row, **_paired(sums.release_id, pair)}


def _is_in(release_id: str, pair: monitoring.PairedBlock) -> bool:
    return bool(pair.count) and release_id in (pair.champion_release_id, pair.challenger_release_id)


def _paired(release_id: str, pair: monitoring.PairedBlock | None) -> dict[str, Any]:
    if pair is None:
        return {"paired_with": None, "paired_rows": 0, "paired_loss": None, "paired_other_loss": None}
    own, other = pair.challenger_loss_sum, pair.champion_loss_sum
    name = pair.champion_release_id
    if release_id == pair.champion_release_id:
        own, other, name = other, own, pair.challenger_release_id
    return {
        "paired_with": name,
        "paired_rows": pair.count,
        "paired_loss": own / pair.count,
        "paired_other_loss": other / pair.count,
    }


def _phase(stage: str, rows: Sequence[dict[str, Any]]) -> dict[str, Any]:
    pairs = [row for row in rows if row["paired_rows"]]
    count = sum(row["paired_rows"] for row in pairs)
    means = {
        name: sum(row[name] * row["paired_rows"] for row in pairs) / count if count else None
        for name in ("paired_loss", "paired_other_loss")
    }
    return {
        "stage": stage,
        **{name: value for name, value in mean("", rows).items() if name != "label"},
        "answered": sum(row["answered"] for row in rows),
        "paired_with": sorted({row["paired_with"] for row in pairs}),
        "paired_rows": count,
        **means,
    }
