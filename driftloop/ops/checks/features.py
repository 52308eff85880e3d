"""Compares logged inputs with brute force from raw events and with Feast's point-in-time join."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from driftloop.featurestore import feast_import
from driftloop.loop import Loop
from driftloop.loop.code import load_features
from driftloop.model.bundle import Bundle, Input
from driftloop.ops.checks.bruteforce import Aggregate, View, compute
from driftloop.ops.checks.compare import compare_columns
from driftloop.ops.checks.model import Check
from driftloop.ops.checks.predictions import Predictions
from driftloop.ops.checks.raw import Recount
from driftloop.process.settings import Settings

Columns = dict[str, NDArray[np.float64]]


def declared_views(loop: str, feature_repo: Path) -> list[View]:
    """Return the loop's stream feature views, as its Feast module in that folder declares them."""
    feast_import.load()
    from feast import StreamFeatureView

    module = load_features(loop, feature_repo)
    views = {
        view.name: view
        for value in vars(module).values()
        for view in _members(value)
        if isinstance(view, StreamFeatureView)
    }
    return [_view(view) for view in views.values()]


def join_keys(loop: Loop, keys: Sequence[str], population: Sequence[Mapping[str, Any]]) -> dict[str, list[Any]]:
    """Return every join key for predictions of these keys, from the events that they were made for."""
    definition = loop.definition.prediction
    rows = {row[definition.key]: row for row in population}
    values: dict[str, list[Any]] = {}
    for name, source in definition.join_keys.items():
        if source.const is not None:
            values[name] = [source.const] * len(keys)
        else:
            declared = definition.inputs.get(source.input or "")
            column = (declared.column if declared else None) or source.input or name
            values[name] = [rows[key][column] for key in keys]
    return values


def draw_sample(predictions: Predictions, count: int, seed: int) -> Predictions:
    """Draw this many predictions, or all, with ``seed``, in their order."""
    drawn = np.random.default_rng(seed).choice(len(predictions), min(count, len(predictions)), replace=False)
    return predictions.take(np.sort(drawn))


def requested_entities(view: View, rows: Predictions, keys: Mapping[str, Sequence[Any]]) -> pa.Table:
    """Return the rows to compute a view for: row number, watermark and entity of each prediction."""
    columns = {"row": np.arange(len(rows)), "watermark_ms": rows.feature_watermark_ms}
    return pa.table(columns | {key: pa.array(keys[key]) for key in view.join_keys})


def brute_force(
    predictions: Predictions, bundle: Bundle, loop: Loop, raw: Recount, settings: Settings, sample: int, seed: int
) -> Check:
    """Recompute every feature and request input of some random predictions from raw events."""
    rows = draw_sample(predictions, sample, seed)
    keys = join_keys(loop, list(rows.key), raw.accepted[loop.definition.prediction.source])
    expected: Columns = {}
    for view in declared_views(loop.name, settings.feature_repo):
        derive = loop.definition.events[view.event_type].derive
        values = compute(view, raw.table(view.event_type), derive, requested_entities(view, rows, keys))
        expected |= {f"{view.name}__{name}": column for name, column in values.items()}
    names = {input_.name for input_ in bundle.manifest.numeric}
    said = logged(rows, bundle.manifest.numeric)
    expected |= _requested(rows, bundle.manifest.numeric, loop, raw)
    return compare_columns(
        "features, by brute force", said, {name: value for name, value in expected.items() if name in names}
    )


def feast_join(predictions: Predictions, bundle: Bundle, loop: Loop, raw: Recount, settings: Settings) -> Check:
    """Recompute every feature of every prediction, by Feast's historical retrieval at the decision time."""
    import pandas as pd

    from driftloop.featurestore.feast_client import open_store

    store = open_store(settings)
    features = [input_ for input_ in bundle.manifest.numeric if input_.source == "feature"]
    keys = join_keys(loop, list(predictions.key), raw.accepted[loop.definition.prediction.source])
    entity = pd.DataFrame({**keys, "row": np.arange(len(predictions))})
    entity["event_timestamp"] = pd.to_datetime(predictions.decision_time_ms, unit="ms", utc=True)
    names = [f"{input_.view}:{input_.feature}" for input_ in features]
    table = store.get_historical_features(entity, names, full_feature_names=True).to_arrow()
    order = np.argsort(table.column("row").to_numpy())
    expected = {input_.name: _floats(table.column(input_.name))[order] for input_ in features}
    return compare_columns(
        "features, by Feast's join", logged(predictions, bundle.manifest.numeric, only=set(expected)), expected
    )


def _floats(column: pa.ChunkedArray) -> NDArray[np.float64]:
    values: NDArray[np.float64] = column.cast(pa.float64()).fill_null(float("nan")).to_numpy()
    return values


def logged(rows: Predictions, inputs: Sequence[Input], only: set[str] | None = None) -> Columns:
    """Return numeric inputs of the prediction log by name; only some names if given."""
    return {input_.name: rows.numeric[:, at] for at, input_ in enumerate(inputs) if only is None or input_.name in only}


def _requested(rows: Predictions, inputs: Sequence[Input], loop: Loop, raw: Recount) -> Columns:
    """Return request inputs from the population's events."""
    definition = loop.definition.prediction
    by_key = {row[definition.key]: row for row in raw.accepted[definition.source]}
    columns: Columns = {}
    for input_ in inputs:
        if input_.source == "request":
            column = definition.inputs[input_.name].column or input_.name
            values = [by_key[key][column] for key in rows.key]
            columns[input_.name] = np.array([np.nan if value is None else float(value) for value in values])
    return columns


def _members(value: Any) -> list[Any]:
    return list(value) if isinstance(value, list | tuple) else [value]


def _view(view: Any) -> View:
    keys = tuple(sorted(view.join_keys))
    event_type = view.stream_source.tags["event_type"]
    aggregates = tuple(
        Aggregate(
            aggregation.resolved_name(aggregation.time_window),
            aggregation.function,
            aggregation.column,
            round(aggregation.time_window.total_seconds() * 1000),
        )
        for aggregation in view.aggregations
    )
    columns = tuple(field.name for field in view.features)
    return View(view.name, event_type, keys, aggregates, () if aggregates else columns)
