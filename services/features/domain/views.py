"""Views and feeds as plain data, and the names of features."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal, NamedTuple

Kind = Literal["double", "string"]
KeyKind = Literal["string", "int64"]


class Feed(NamedTuple):
    """Rows of one event type, keyed by one entity: the input of a view."""

    event_type: str
    join_keys: tuple[str, ...]
    """In alphabetical order."""


@dataclass(frozen=True, slots=True)
class Aggregate:
    """A feature over a trailing window."""

    name: str
    function: Literal["count", "sum"]
    """`count` counts values of the column that are neither null nor NaN; `sum` adds them."""
    column: str
    window_ms: int


@dataclass(frozen=True, slots=True)
class Latest:
    """A feature that is a column of the entity's newest event."""

    name: str
    kind: Kind


@dataclass(frozen=True, slots=True)
class ViewSpec:
    """A view: either aggregates or columns of the newest event."""

    view: str
    feed: Feed
    key_kinds: tuple[KeyKind, ...]
    """Type of each join key."""
    aggregates: tuple[Aggregate, ...] = ()
    latest: tuple[Latest, ...] = ()

    def __post_init__(self) -> None:
        if bool(self.aggregates) == bool(self.latest):
            raise ValueError(f"{self.view} must have either aggregates or columns of the newest event")
        if len(self.key_kinds) != len(self.feed.join_keys):
            raise ValueError(f"{self.view} has {len(self.feed.join_keys)} join keys and {len(self.key_kinds)} types")

    @property
    def features(self) -> tuple[str, ...]:
        return tuple(feature.name for feature in self.aggregates) + tuple(feature.name for feature in self.latest)

    @property
    def kinds(self) -> tuple[Kind, ...]:
        double: Kind = "double"
        return (double,) * len(self.aggregates) + tuple(feature.kind for feature in self.latest)

    @property
    def windows_ms(self) -> tuple[int, ...]:
        """Return distinct windows, ascending."""
        return tuple(sorted({aggregate.window_ms for aggregate in self.aggregates}))


def feed_columns(views: Iterable[ViewSpec]) -> dict[str, Kind]:
    """Return the columns that one feed's views read, with their kind; a counted column may hold strings."""
    columns: dict[str, Kind] = {}
    for view in views:
        for aggregate in view.aggregates:
            columns[aggregate.column] = "double"
        for column in view.latest:
            columns.setdefault(column.name, column.kind)
    return columns


def defined_features(views: Iterable[ViewSpec]) -> dict[str, dict[str, Kind]]:
    """Return the kind of each feature, by view."""
    return {view.view: dict(zip(view.features, view.kinds, strict=True)) for view in views}
