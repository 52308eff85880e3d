"""Joins outcomes a second time."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence

import duckdb
import pyarrow as pa

from driftloop.loop import LoopDefinition, to_ms
from driftloop.ops.checks.model import Check
from driftloop.ops.checks.predictions import Predictions


def outcome_values(raw: pa.Table, loop: LoopDefinition) -> list[tuple[str, int, float]]:
    """Return (key, time of visibility, outcome) of accepted outcomes by (visibility, event time, id), without nulls.

    An outcome is visible from its event time on, or from the watermark at which it arrived. For a label with classes,
    the outcome is the index of the class.
    """
    label = loop.label
    if not raw.num_rows:
        return []
    derive = loop.events[label.source].derive
    extra = "".join(f', ({expression}) AS "{name}"' for name, expression in derive.items())
    with duckdb.connect() as connection:
        connection.register("raw", raw)
        value = f'"{label.value}"' + ("" if label.classes else "::DOUBLE")
        query = (
            f'SELECT "{label.key}"::VARCHAR, greatest(event_time_ms, arrival_watermark_ms) AS visible_ms, '  # noqa: S608
            f'{value} FROM (SELECT *{extra} FROM raw) WHERE "{label.value}" IS NOT NULL '
            "ORDER BY visible_ms, event_time_ms, event_id"
        )
        rows = connection.execute(query).fetchall()
    return (
        [(key, at, _class_index(value, label.classes)) for key, at, value in rows if value != ""]
        if label.classes
        else rows
    )


def _class_index(value: str | int, classes: Sequence[str]) -> float:
    return float(classes.index(value) if isinstance(value, str) else value)


def recount_joins(
    predictions: Predictions, outcomes: Sequence[tuple[str, int, float]], loop: LoopDefinition, until_ms: int
) -> dict[str, int]:
    """Return the numbers of predictions and outcomes by result at a watermark, with the names of `JoinCounts`.

    A key's first outcome counts; a later one repeats or corrects it. Assumes that keys are remembered as long as
    outcomes repeat.
    """
    horizon_ms = to_ms(loop.label.horizon)
    times = zip(predictions.key, predictions.decision_time_ms, predictions.visible_ms, predictions.probe, strict=True)
    decided = {key: (int(decided_ms), int(seen_ms)) for key, decided_ms, seen_ms, probe in times if not probe}
    span_ms = to_ms(loop.label.correction_span)
    first: dict[str, int] = {}
    value_of: dict[str, float] = {}
    joined: set[str] = set()
    backdated: set[str] = set()
    counts: dict[str, int] = defaultdict(int)
    for key, visible_ms, value in outcomes:
        if visible_ms >= until_ms:
            continue
        if key in first:
            overdue = visible_ms >= first[key] + span_ms
            counts["duplicate" if value_of[key] == value else "corrected"] += 1
            counts["overdue"] += overdue and value_of[key] != value
            value_of[key] = value_of[key] if overdue else value
            continue
        first[key], value_of[key] = visible_ms, value
        if key not in decided:
            counts["unpredicted"] += 1
        elif visible_ms > decided[key][0] + horizon_ms:
            counts["late"] += 1
        else:
            (joined if visible_ms >= decided[key][1] else backdated).add(key)
    counts["joined"] = len(joined)
    unanswered = [decided[key] for key in decided.keys() - joined - backdated]
    given_up = [
        seen_ms - decided_ms > horizon_ms for decided_ms, seen_ms in unanswered if decided_ms + horizon_ms < until_ms
    ]
    counts["missing"], counts["backdated"] = given_up.count(False), given_up.count(True) + len(backdated)
    return dict(counts)


def join_checks(reported: Mapping[str, int], expected: Mapping[str, int]) -> list[Check]:
    """Return one check per count."""
    names = ("joined", "missing", "late", "duplicate", "corrected", "unpredicted", "overdue", "backdated")
    return [
        Check(
            f"outcomes {name}",
            expected.get(name, 0),
            abs(reported.get(name, 0) - expected.get(name, 0)),
            f"reported {reported.get(name, 0)}",
        )
        for name in names
    ]
