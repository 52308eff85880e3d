"""What the router reads from an online store."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class ViewRequest:
    """Features and entities to read from a view."""

    numeric: tuple[str, ...]
    strings: tuple[str, ...]
    entity_keys: Sequence[bytes]
    """Distinct serialised keys."""


@dataclass(frozen=True, slots=True)
class ViewRows:
    """A view's rows for k entities."""

    watermark_ms: int | None
    """The view's watermark; None if the view was never written."""
    numeric: NDArray[np.float64]
    """float64 [k, features]; NaN means missing."""
    strings: NDArray[np.object_]
    """str [k, features]; empty means missing."""
    written_ms: NDArray[np.int64] | None = None
    """When each row became available, int64 [k], -1 without a row. None: not read, and no row is newer than the
    watermark."""


class OnlineFeatures(Protocol):
    """An online store. Use it from one thread."""

    def join_keys(self, view: str) -> tuple[str, ...] | None:
        """Return the join keys of a view, or None if it has no rows."""
        ...

    def read(self, wanted: Mapping[str, ViewRequest]) -> Mapping[str, ViewRows]:
        """Return each view's rows, in the order of the requested keys."""
        ...

    def written_ms(self, view: str, entity_keys: Sequence[bytes]) -> NDArray[np.int64]:
        """Return the event time (ms) of each entity's row, or -1 without a row."""
        ...

    def watermarks(self) -> Mapping[str, int]:
        """Return the watermark (ms) of each view of the loop."""
        ...

    def close(self) -> None:
        """Close the connections."""
        ...
