"""Counts and sums over trailing windows.

A value is recomputed from the events in its window, never updated incrementally. So it depends only on the visible
events: doubles do not drift, and a live engine, a backfill and a brute-force sum in order of event time add the same
numbers in the same order. Two binary searches per window find the changed entities.
"""

from __future__ import annotations

import numpy as np

from services.features.domain.events import Array, Events, Ints
from services.features.domain.views import Aggregate, ViewSpec


def changed(spec: ViewSpec, before: Events, entering: Events, previous_ms: int | None, watermark_ms: int) -> Ints:
    """Return the codes, ascending, of entities for which an event enters or leaves a window.

    ``before``: events visible at ``previous_ms``, in order of event time. ``entering``: those that become visible, in
    the
    same order.
    """
    starts = watermark_ms - np.array(spec.windows_ms)
    codes = [entering.code[start:] for start in entering.time_ms.searchsorted(starts)]
    if previous_ms is not None:
        left = before.time_ms.searchsorted(previous_ms - np.array(spec.windows_ms))
        codes += [before.code[start:end] for start, end in zip(left, before.time_ms.searchsorted(starts), strict=True)]
    return np.unique(np.concatenate(codes))


def compute(spec: ViewSpec, visible: Events, entities: Ints, watermark_ms: int, known: int) -> tuple[Array, ...]:
    """Return each feature (float64 [len(entities)]) of the entities, from the events visible at the watermark.

    A sum that overflows is NaN, which means missing.
    ``visible`` is in order of event time; ``known`` is the number of entity codes.
    """
    slots = np.full(known, -1, np.int64)
    slots[entities] = np.arange(len(entities))
    slot = slots[visible.code]
    theirs = np.flatnonzero(slot >= 0)
    times, slot = visible.time_ms[theirs], slot[theirs]
    first = times.searchsorted(watermark_ms - np.array(spec.windows_ms)).tolist()
    starts = dict(zip(spec.windows_ms, first, strict=True))
    present = {name: _present(visible.columns[name][theirs]) for name in {a.column for a in spec.aggregates}}
    return tuple(_one(a, slot, present[a.column], starts[a.window_ms], len(entities)) for a in spec.aggregates)


def _present(values: Array) -> tuple[Array, Array]:
    """Return 1.0 for present values, and the values with 0.0 for missing ones."""
    there = values == values  # NaN differs from itself
    return there.astype(np.float64), np.where(there, values, 0.0)


def _one(aggregate: Aggregate, slot: Ints, present: tuple[Array, Array], start: int, entities: int) -> Array:
    weights = present[0] if aggregate.function == "count" else present[1]
    values: Array = np.bincount(slot[start:], weights=weights[start:], minlength=entities)
    finite = np.isfinite(values)
    return values if finite.all() else np.where(finite, values, np.nan)  # a sum of finite values may be infinite
