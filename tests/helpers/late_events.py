"""Explains served features that differ from a computation with all events at their event time."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from driftloop.loop import Loop
from driftloop.model.bundle import Bundle
from driftloop.ops.checks.bruteforce import View, compute, not_yet_visible
from driftloop.ops.checks.compare import unequal
from driftloop.ops.checks.features import Columns, declared_views, draw_sample, join_keys, logged, requested_entities
from driftloop.ops.checks.model import Check
from driftloop.ops.checks.predictions import Predictions
from driftloop.ops.checks.raw import Recount
from driftloop.process.settings import Settings

ON_TIME_MS = -(2**63)
"""Arrival watermark of a row that is visible from its event time on."""


@dataclass(frozen=True)
class Difference:
    """A served feature value that differs from the value with all events at their event time."""

    prediction_id: str
    feature: str
    served: float
    on_time: float
    late: tuple[str, ...]
    """Ids of the late events that explain it: without them the value is the served one. Empty if none do."""


@dataclass(frozen=True)
class LateFindings:
    """All differences, and the check that each has its late event."""

    differences: Sequence[Difference]
    check: Check


def late_rows(
    predictions: Predictions, bundle: Bundle, loop: Loop, raw: Recount, settings: Settings, sample: int, seed: int
) -> LateFindings:
    """Explain every difference in the features of some random predictions; unexplained ones are unequal."""
    rows = draw_sample(predictions, sample, seed)
    keys = join_keys(loop, list(rows.key), raw.accepted[loop.definition.prediction.source])
    served = logged(rows, bundle.manifest.numeric)
    found_differences: list[Difference] = []
    for view in declared_views(loop.name, settings.feature_repo):
        events = raw.table(view.event_type)
        derive = loop.definition.events[view.event_type].derive
        found_differences += differences(view, events, derive, requested_entities(view, rows, keys), served, rows.id)
    compared = sum(len(served[input_.name]) for input_ in bundle.manifest.numeric if input_.source == "feature")
    named = {event for difference in found_differences for event in difference.late}
    unexplained = [difference for difference in found_differences if not difference.late]
    detail = f"{len(found_differences)} differ, by {len(named)} late events" + "".join(
        f"; {difference}" for difference in unexplained[:3]
    )
    return LateFindings(
        found_differences, Check("features at event time, but for late events", compared, len(unexplained), detail)
    )


def differences(
    view: View,
    events: pa.Table,
    derive: Mapping[str, str],
    entities: pa.Table,
    served_columns: Columns,
    ids: NDArray[Any],
) -> Iterator[Difference]:
    """Yield those of one view. ``served`` by ``<view>__<feature>``; ``events`` and ``entities`` as in `compute`."""
    column = events.schema.get_field_index("arrival_watermark_ms")
    punctual = events.set_column(column, "arrival_watermark_ms", pa.array(np.full(events.num_rows, ON_TIME_MS)))
    on_time = compute(view, punctual, derive, entities)
    visible = compute(view, events, derive, entities)
    hidden = not_yet_visible(view, events, derive, entities)
    watermark_ms = entities.column("watermark_ms").to_numpy()
    windows = {aggregate.name: aggregate.window_ms for aggregate in view.aggregates}
    for name, values in on_time.items():
        served = served_columns.get(f"{view.name}__{name}")
        if served is None:
            continue
        explained = ~unequal(served, visible[name])
        for at in np.flatnonzero(unequal(served, values)).tolist():
            # An entity without a visible event has no value in any window.
            start_ms = watermark_ms[at] - windows[name] if name in windows and not np.isnan(served[at]) else ON_TIME_MS
            late = tuple(event for time_ms, event in hidden.get(at, ()) if time_ms >= start_ms)
            yield Difference(ids[at], name, served[at], values[at], late if explained[at] else ())
