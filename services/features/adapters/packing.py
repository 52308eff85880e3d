"""Packs feature rows into the bytes that Feast's online stores hold."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from driftloop.featurestore.feast_keys import EntityKeys, pack_double, pack_string
from services.features.domain.events import Array
from services.features.domain.latest import Key

_DOUBLE_TAG = pack_double(0.0)[:1]
_LIMIT = 200_000


class KeyCache:
    """Serialised entity keys; cleared at 200,000 keys of one entity."""

    def __init__(self) -> None:
        self._known: dict[tuple[str, ...], dict[Key, bytes]] = {}

    def serialized(self, join_keys: tuple[str, ...], keys: Sequence[Key]) -> list[bytes]:
        """Return the keys as Feast serialises them."""
        known = self._known.setdefault(join_keys, {})
        if len(known) > _LIMIT:
            known.clear()
        layout = EntityKeys(join_keys)
        for key in keys:
            if key not in known:
                known[key] = layout.serialize(key)
        return [known[key] for key in keys]


def packed(column: Array) -> list[bytes]:
    """Return values of a feature, float64 or object [n], each as a ``feast.types.Value``."""
    if column.dtype == object:
        return [pack_string(value) for value in column]
    content = np.ascontiguousarray(column, "<f8").tobytes()
    values = [_DOUBLE_TAG + content[at : at + 8] for at in range(0, len(content), 8)]
    for missing in np.flatnonzero(column != column):
        values[missing] = b""
    return values
