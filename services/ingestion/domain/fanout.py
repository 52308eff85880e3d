"""Assigns accepted rows to partitions, for each entity and as outcomes."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from driftloop.bus.partition import partitions_of
from driftloop.model.classes import class_index
from driftloop.model.labels import LabelKind
from services.ingestion.domain.schema import STANDARD

SEPARATOR = "\x1f"
_REMEMBERED = 200_000


JoinKeys = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Share:
    """The rows of one partition. ``entities``: row positions by join keys (int64, ascending)."""

    partition: int
    rows: pa.RecordBatch
    entities: list[tuple[JoinKeys, NDArray[np.int64]]]

    def halves(self) -> tuple[Share, Share]:
        """Return the first half of the rows, and the rest."""
        half = self.rows.num_rows // 2
        cuts = [(join_keys, at, int(np.searchsorted(at, half))) for join_keys, at in self.entities]
        first = [(join_keys, at[:cut]) for join_keys, at, cut in cuts if cut]
        rest = [(join_keys, at[cut:] - half) for join_keys, at, cut in cuts if cut < len(at)]
        return (
            Share(self.partition, self.rows.slice(0, half), first),
            Share(self.partition, self.rows.slice(half), rest),
        )


class Partitioner:
    """Assigns keys to partitions by Kafka's hash, and caches them because entities repeat."""

    def __init__(self, partitions: int) -> None:
        self.partitions = partitions
        self._known: dict[str | None, int] = {None: -1}

    def shares(self, rows: pa.RecordBatch, entities: Iterable[tuple[JoinKeys, pa.Array]]) -> Iterator[Share]:
        """Return the share of each partition: rows for which an entity's key (string [n]) hashes to it.

        Rows keep their order. A null key assigns the row to no partition for that entity.
        """
        partitions_of = [(join_keys, self._partitions(keys)) for join_keys, keys in entities]
        for partition in range(self.partitions):
            here = [(join_keys, partitions == partition) for join_keys, partitions in partitions_of]
            wanted = np.logical_or.reduce([mask for _, mask in here], axis=0)
            if not wanted.any():
                continue
            if wanted.all():
                share, kept = rows, here
            else:
                share = rows.take(pa.array(np.flatnonzero(wanted)))
                kept = [(join_keys, mask[wanted]) for join_keys, mask in here]
            yield Share(partition, share, [(keys, np.flatnonzero(mask)) for keys, mask in kept if mask.any()])

    def _partitions(self, keys: pa.Array) -> NDArray[np.int64]:
        """Return the partition of each row, or -1."""
        names: list[str | None] = keys.to_pylist()
        if len(self._known) > _REMEMBERED:
            self._known = {None: -1}
        fresh = list({name for name in names if name is not None and name not in self._known})
        self._known.update(zip(fresh, partitions_of([name.encode() for name in fresh], self.partitions), strict=True))
        return np.array([self._known[name] for name in names], dtype=np.int64)


def entity_keys(rows: pa.RecordBatch, entities: Sequence[JoinKeys]) -> Iterator[tuple[JoinKeys, pa.Array]]:
    """Return each entity with every row's key (string [n]) from its join keys; null if one is null or empty."""
    texts = {name: _text(rows.column(name)) for name in {name for join_keys in entities for name in join_keys}}
    for join_keys in entities:
        values = [texts[name] for name in join_keys]
        yield join_keys, values[0] if len(values) == 1 else pc.binary_join_element_wise(*values, SEPARATOR)


@dataclass(frozen=True, slots=True)
class OutcomeColumns:
    """Columns of the label's event with the prediction key and the outcome; ``classes``: the known classes."""

    key: str
    value: str
    kind: LabelKind
    classes: tuple[str, ...] = ()

    def read(self, rows: pa.RecordBatch) -> pa.RecordBatch:
        """Return standard columns, ``key`` string and ``value`` float64 (a class's index) of rows that have both."""
        key = _text(rows.column(self.key))
        values = rows.column(self.value)
        value = class_index(values, self.classes) if self.classes else values.cast(pa.float64(), safe=False)
        arrays = [*(rows.column(name) for name in STANDARD.names), key, value]
        outcomes = pa.RecordBatch.from_arrays(arrays, schema=OUTCOME)
        return outcomes.filter(pc.and_(key.is_valid(), value.is_valid()))


OUTCOME = pa.schema([*STANDARD, ("key", pa.string()), ("value", pa.float64())])
"""Columns of an outcome."""


def _text(column: pa.Array) -> pa.Array:
    text = column if pa.types.is_string(column.type) else column.cast(pa.string())
    empty = pc.equal(text, "")
    return pc.if_else(empty, None, text) if empty.true_count else text
