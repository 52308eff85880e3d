"""Maps labels in an Arrow column to classes, for ingestion and training."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray


def class_index(column: pa.Array | pa.ChunkedArray, classes: Sequence[str]) -> pa.Array | pa.ChunkedArray:
    """Return the class index of each label, float64 [n]; null if the label is null or not a known class.

    A string is the name of its class; an integer is already the class index, from 0.
    """
    if not pa.types.is_integer(column.type):
        named = pc.index_in(pc.cast(column, pa.string()), value_set=pa.array(classes, pa.string()))
        return pc.cast(named, pa.float64())
    inside = pc.and_(pc.greater_equal(column, 0), pc.less(column, len(classes)))
    return pc.if_else(inside, pc.cast(column, pa.float64(), safe=False), pa.scalar(None, pa.float64()))


def unknown_class(column: pa.Array, classes: Sequence[str]) -> NDArray[np.bool_]:
    """Return the rows whose label is not a known class, bool [n].

    Null and empty labels count as missing, not unknown.
    """
    given = column.is_valid()
    if not pa.types.is_integer(column.type):
        given = pc.and_(given, pc.fill_null(pc.not_equal(column, ""), False))
    unknown = pc.and_(given, class_index(column, classes).is_null())
    return np.asarray(unknown.to_numpy(zero_copy_only=False), dtype=np.bool_)
