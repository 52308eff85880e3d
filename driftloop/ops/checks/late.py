"""What late events did to served features: each value that differs from all rows at their event time, and why."""

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
from driftloop.ops.checks.features import Columns, asked_of, declared_views, join_keys, logged, some
from driftloop.ops.checks.model import Check
from driftloop.ops.checks.predictions import Predictions
from driftloop.ops.checks.raw import Recount
from driftloop.process.settings import Settings

ON_TIME_MS = -(2**63)
"""Arrival watermark of a row that is seen from its event time on."""


@dataclass(frozen=True)
class Difference:
    """A feature value that was served otherwise than all rows at their event time would have it."""

    prediction_id: str
    feature: str
    said: float
    on_time: float
    late: tuple[str, ...]
    """Ids of the late events that explain it: without them the value is the served one. Empty where none do."""


@dataclass(frozen=True)
class LateFindings:
    """All differences, and the check that each has its late event."""

    differences: Sequence[Difference]
    check: Check


def late_rows(
    predictions: Predictions, bundle: Bundle, loop: Loop, raw: Recount, settings: Settings, sample: int, seed: int
) -> LateFindings:
    """Explain every difference in the features of some random predictions; unequal are those that nothing explains."""
    rows = some(predictions, sample, seed)
    keys = join_keys(loop, list(rows.key), raw.accepted[loop.definition.prediction.source])
    said = logged(rows, bundle.manifest.numeric)
    found: list[Difference] = []
    for view in declared_views(loop.name, settings.feature_repo):
        events = raw.table(view.event_type)
        derive = loop.definition.events[view.event_type].derive
        found += differences(view, events, derive, asked_of(view, rows, keys), said, rows.id)
    compared = sum(len(said[each.name]) for each in bundle.manifest.numeric if each.source == "feature")
    named = {event for each in found for event in each.late}
    unexplained = [each for each in found if not each.late]
    detail = f"{len(found)} differ, by {len(named)} late events" + "".join(f"; {each}" for each in unexplained[:3])
    return LateFindings(found, Check("features at event time, but for late events", compared, len(unexplained), detail))


def differences(
    view: View, events: pa.Table, derive: Mapping[str, str], asked: pa.Table, said: Columns, ids: NDArray[Any]
) -> Iterator[Difference]:
    """Those of one view. ``said`` by ``<view>__<feature>``; ``events``, ``asked`` as `bruteforce.compute` has them."""
    place = events.schema.get_field_index("arrival_watermark_ms")
    punctual = events.set_column(place, "arrival_watermark_ms", pa.array(np.full(events.num_rows, ON_TIME_MS)))
    on_time = compute(view, punctual, derive, asked)
    visible = compute(view, events, derive, asked)
    hidden = not_yet_visible(view, events, derive, asked)
    watermark_ms = asked.column("watermark_ms").to_numpy()
    windows = {each.name: each.window_ms for each in view.aggregates}
    for name, values in on_time.items():
        served = said.get(f"{view.name}__{name}")
        if served is None:
            continue
        explained = ~unequal(served, visible[name])
        for at in np.flatnonzero(unequal(served, values)).tolist():
            # An entity of which nothing was visible has no value in any window.
            start_ms = watermark_ms[at] - windows[name] if name in windows and not np.isnan(served[at]) else ON_TIME_MS
            late = tuple(event for time_ms, event in hidden.get(at, ()) if time_ms >= start_ms)
            yield Difference(ids[at], name, served[at], values[at], late if explained[at] else ())
