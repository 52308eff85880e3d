"""Which class an outcome names: of a column in Arrow, for ingestion and training alike."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray


def class_index(column: pa.Array | pa.ChunkedArray, classes: Sequence[str]) -> pa.Array | pa.ChunkedArray:
    """The place of each outcome's class, float64 [n]; null where the outcome is null or no class.

    A string names its class, an integer is the class's place already, from 0.
    """
    if not pa.types.is_integer(column.type):
        named = pc.index_in(pc.cast(column, pa.string()), value_set=pa.array(classes, pa.string()))
        return pc.cast(named, pa.float64())
    inside = pc.and_(pc.greater_equal(column, 0), pc.less(column, len(classes)))
    return pc.if_else(inside, pc.cast(column, pa.float64(), safe=False), pa.scalar(None, pa.float64()))


def unknown_class(column: pa.Array, classes: Sequence[str]) -> NDArray[np.bool_]:
    """Rows with an outcome that is no class, bool [n]. A null or an empty string is no outcome, and so not one."""
    given = column.is_valid()
    if not pa.types.is_integer(column.type):
        given = pc.and_(given, pc.fill_null(pc.not_equal(column, ""), False))
    unknown = pc.and_(given, class_index(column, classes).is_null())
    return np.asarray(unknown.to_numpy(zero_copy_only=False), dtype=np.bool_)
