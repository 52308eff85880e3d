"""Feast's DuckDB offline store that reads Delta tables at pinned versions through deltalake, and joins with ASOF.

Feast's own join materialises every feature row of an entity for every entity row; an ASOF join per view does not. A
test compares the two. A row is visible from the time at which the engine had it (``available_at``), so no value is
used before it was known.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import duckdb
import pandas as pd
import pyarrow as pa
from deltalake import DeltaTable
from feast import FeatureView, OnDemandFeatureView
from feast.infra.offline_stores import offline_utils
from feast.infra.offline_stores.duckdb import DuckDBOfflineStore, DuckDBOfflineStoreConfig
from feast.infra.offline_stores.offline_store import RetrievalJob, RetrievalMetadata
from feast.infra.registry.base_registry import BaseRegistry
from feast.repo_config import RepoConfig
from pydantic import Field

from driftloop.process.sql_names import quote_name

_ROW = "__driftloop_row"
_pins: ContextVar[Mapping[str, int]] = ContextVar("pinned view versions", default={})  # noqa: B039  # never mutated


class DriftloopOfflineStoreConfig(DuckDBOfflineStoreConfig):
    """The DuckDB store's settings, and the table versions to read."""

    type: str = "driftloop.featurestore.offline_store.DriftloopOfflineStore"
    shared: str = ""
    """Folder in a bucket that the paths of views are relative to; empty: the folder of Feast's settings."""
    view_versions: dict[str, int] = Field(default_factory=dict)
    """Delta version by view. Views that are neither here nor in `pinned_versions` are read at their newest version."""


@contextmanager
def pinned_versions(versions: Mapping[str, int]) -> Iterator[None]:
    """Read these Delta versions, by view, in retrievals inside the block."""
    token = _pins.set(dict(versions))
    try:
        yield
    finally:
        _pins.reset(token)


class DriftloopOfflineStore(DuckDBOfflineStore):
    """Point-in-time joins of offline views. Everything else is Feast's DuckDB store."""

    @staticmethod
    def get_historical_features(
        config: RepoConfig,
        feature_views: list[FeatureView],
        feature_refs: list[str],
        entity_df: pd.DataFrame | str,
        registry: BaseRegistry,
        project: str,
        full_feature_names: bool = False,
        filter_by_created_timestamp: bool = True,  # noqa: ARG004  # available_at always filters here
    ) -> RetrievalJob:
        """Return the features of each entity row as they were available at its timestamp. Rows keep their order.

        Raises:
            TypeError: ``entity_df`` is not a data frame.
            KeyError: a join key of a view is not a column.
        """
        if not isinstance(entity_df, pd.DataFrame):
            raise TypeError(f"entity_df is a {type(entity_df).__name__}; pass a pandas data frame")
        time_column = offline_utils.infer_event_timestamp_from_entity_df(dict(entity_df.dtypes))
        joins = [_Join.of(config, view, feature_refs, full_feature_names) for view in feature_views]
        on_demand = OnDemandFeatureView.get_requested_odfvs(feature_refs, project, registry)
        times = pd.to_datetime(entity_df[time_column], utc=True)
        keys = sorted(set(entity_df.columns) - {time_column})
        return _JoinJob(
            lambda: _join_all(entity_df.assign(**{time_column: times}), time_column, joins),
            list(on_demand),
            full_feature_names,
            RetrievalMetadata(list(feature_refs), keys, times.min().to_pydatetime(), times.max().to_pydatetime()),
        )


@dataclass(frozen=True)
class _Join:
    """One view's part of a retrieval."""

    view: str
    path: str
    version: int | None
    keys: Mapping[str, str]
    """Entity column by the view's join key."""
    features: Mapping[str, str]
    """Output column by feature."""
    event_timestamp: str
    available_at: str
    ttl: timedelta

    @classmethod
    def of(cls, config: RepoConfig, view: FeatureView, feature_refs: Sequence[str], full_names: bool) -> _Join:
        source = view.batch_source
        if source is None or not source.created_timestamp_column:
            raise ValueError(f"view {view.name} has no batch source with a created_timestamp_column")
        name, prefix = view.projection.name_to_use(), view.projection.name_alias or view.name
        wanted = [ref.split(":", 1)[1] for ref in feature_refs if ref.startswith(f"{name}:")]
        pins = {**config.offline_store.view_versions, **_pins.get()}
        return cls(
            view=view.name,
            path=f"{config.offline_store.shared or config.repo_path or '.'}/{source.path}",
            version=pins.get(view.name),
            keys=view.projection.join_key_map or {key.name: key.name for key in view.entity_columns},
            features={name: f"{prefix}__{name}" if full_names else name for name in wanted},
            event_timestamp=source.timestamp_field,
            available_at=source.created_timestamp_column,
            ttl=view.ttl or timedelta(0),
        )

    def rows(self) -> pa.Table:
        """Return the view's rows with the columns that the join needs."""
        columns = [*self.keys, *self.features, self.event_timestamp, self.available_at]
        dataset = DeltaTable(self.path, version=self.version).to_pyarrow_dataset()
        return dataset.to_table(columns=list(dict.fromkeys(columns)))


def _join_all(entities: pd.DataFrame, time_column: str, joins: Sequence[_Join]) -> pa.Table:
    """Return the entity columns, then the features of each view, in the order of the rows."""
    table = pa.Table.from_pandas(entities, preserve_index=False)
    instant = table[time_column].cast(pa.timestamp("us", tz="UTC"))
    table = table.set_column(table.column_names.index(time_column), time_column, instant)
    with duckdb.connect() as connection:
        connection.execute("SET TimeZone = 'UTC'")
        for join in joins:
            for name, column in _join_one(connection, table, time_column, join).items():
                table = table.append_column(name, column)
    return table


def _join_one(
    connection: duckdb.DuckDBPyConnection, table: pa.Table, time_column: str, join: _Join
) -> dict[str, pa.ChunkedArray]:
    absent = sorted(set(join.keys.values()) - set(table.column_names))
    if absent:
        raise KeyError(f"the entity rows lack the join keys of {join.view}: {', '.join(absent)}")
    keys = list(dict.fromkeys([*join.keys.values(), time_column]))
    left = table.select(keys).append_column(_ROW, pa.array(range(table.num_rows), pa.int64()))
    # DuckDB assumes one row for an Arrow table that it does not own, and then uses a nested loop: fifty times slower.
    connection.register("entity_rows", left)
    connection.execute("CREATE OR REPLACE TEMP TABLE entities AS SELECT * FROM entity_rows")
    rows_of_view = join.rows()
    for theirs, ours in join.keys.items():
        if pa.types.is_string(rows_of_view[theirs].type) != _is_text(table[ours].type):
            types = f"{table[ours].type} in the entity rows and {rows_of_view[theirs].type} in {join.view}"
            raise TypeError(f"the join key {theirs} is {types}; online it would never be found")
    connection.register("view_rows", rows_of_view)
    rows = connection.execute(_sql(join, time_column)).to_arrow_table()
    return {name: rows[name] for name in join.features.values()}


def _is_text(kind: pa.DataType) -> bool:
    """Return whether a column of entity rows holds strings, or nothing at all, which joins with every type."""
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_null(kind))


def _sql(join: _Join, time_column: str) -> str:
    """Select the newest row available at each entity row's time; of rows available together, the newest event."""
    on = [f"e.{quote_name(ours)} = v.{quote_name(theirs)}" for theirs, ours in join.keys.items()]
    values = ", ".join(
        f"{_value(join, feature, time_column)} AS {quote_name(name)}" for feature, name in join.features.items()
    )
    partition = ", ".join(quote_name(name) for name in [*join.keys, join.available_at])
    return f"""
        WITH one AS (
            SELECT * FROM view_rows
            QUALIFY row_number() OVER (PARTITION BY {partition} ORDER BY {quote_name(join.event_timestamp)} DESC) = 1
        )
        SELECT {values} FROM entities e ASOF LEFT JOIN one v
        ON {" AND ".join([*on, f"e.{quote_name(time_column)} >= v.{quote_name(join.available_at)}"])}
        ORDER BY e.{_ROW}
    """  # noqa: S608  # identifiers are quoted


def _value(join: _Join, feature: str, time_column: str) -> str:
    value = f"v.{quote_name(feature)}"
    if not join.ttl:
        return value
    ttl_us = join.ttl // timedelta(microseconds=1)
    oldest = f"e.{quote_name(time_column)} - to_microseconds({ttl_us})"
    return f"CASE WHEN v.{quote_name(join.event_timestamp)} >= {oldest} THEN {value} END"


class _JoinJob(RetrievalJob):
    """Runs the joins on retrieval. Feast adds the features that it computes on demand."""

    def __init__(
        self,
        run: Callable[[], pa.Table],
        on_demand: list[OnDemandFeatureView],
        full_feature_names: bool,
        metadata: RetrievalMetadata,
    ) -> None:
        super().__init__()
        self._run = run
        self._on_demand = on_demand
        self._full_feature_names = full_feature_names
        self._metadata = metadata

    def _to_df_internal(self, timeout: int | None = None) -> pd.DataFrame:  # noqa: ARG002  # Feast's signature
        return self._run().to_pandas()

    def _to_arrow_internal(self, timeout: int | None = None) -> pa.Table:  # noqa: ARG002
        return self._run()

    @property
    def full_feature_names(self) -> bool:
        return self._full_feature_names

    @property
    def on_demand_feature_views(self) -> list[OnDemandFeatureView]:
        return self._on_demand

    @property
    def metadata(self) -> RetrievalMetadata | None:
        return self._metadata

    def persist(self, storage: Any, allow_overwrite: bool = False, timeout: int | None = None) -> None:
        """Not supported: training stores its rows with its run."""
        raise NotImplementedError("the retrieved rows cannot be persisted here; store them with the training run")
