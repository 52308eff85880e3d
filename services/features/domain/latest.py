"""Views of each entity's newest visible event."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from services.features.domain.events import Array, Events
from services.features.domain.views import ViewSpec

Key = tuple[str | int, ...]
Position = tuple[int, int, int]
"""Event time, raw partition, raw offset: the greatest wins."""


@dataclass(frozen=True, slots=True)
class Newest:
    """An entity's newest event."""

    position: Position
    values: tuple[Any, ...]


@dataclass
class LatestRows:
    """The newest event of every entity of one view."""

    spec: ViewSpec
    rows: dict[Key, Newest] = field(default_factory=dict)

    def update(self, entering: Events, keys: list[Key]) -> list[Key]:
        """Apply events that became visible; return the entities whose newest event changed. ``keys``: key by code."""
        columns = [entering.columns[feature.name] for feature in self.spec.latest]
        touched: dict[Key, None] = {}
        for at in range(len(entering)):
            position = (int(entering.time_ms[at]), int(entering.partition[at]), int(entering.offset[at]))
            key = keys[entering.code[at]]
            newest = self.rows.get(key)
            if newest is None or position > newest.position:
                self.rows[key] = Newest(position, tuple(column[at] for column in columns))
                touched[key] = None
        return list(touched)

    def columns(self, keys: list[Key]) -> tuple[Array, ...]:
        """Return each feature of these entities, float64 or object [len(keys)]."""
        dtypes = [np.float64 if feature.kind == "double" else object for feature in self.spec.latest]
        rows = [self.rows[key].values for key in keys]
        return tuple(np.array([row[at] for row in rows], dtype) for at, dtype in enumerate(dtypes))
