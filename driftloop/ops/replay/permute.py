"""Permutes outcomes, so that no drift exists: the null case of every decision."""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from driftloop.loop.definition import EventDefinition

_DAY_MS = 86_400_000


def permute_outcomes(table: pa.Table, event: EventDefinition, seed: int) -> pa.Table:
    """Give each day the outcomes of another day, drawn with ``seed``.

    Whole days change places, so that dependence within a day remains; id, key and time of every row are unchanged. A
    day's outcomes are repeated or cut to the length of the day that receives them.
    """
    kept = {event.id, event.key, event.time}
    day = table.column(event.time).to_numpy() // _DAY_MS
    days, starts, counts = np.unique(day, return_index=True, return_counts=True)
    source_day = np.random.default_rng(seed).permutation(len(days))
    rows = np.concatenate([starts[g] + np.arange(counts[to]) % counts[g] for to, g in enumerate(source_day)])
    columns = {
        name: table.column(name) if name in kept else table.column(name).take(pa.array(rows))
        for name in table.column_names
    }
    return pa.table(columns, schema=table.schema)
