"""Logged inputs against two other ways to get them: brute force from raw events, and Feast's point-in-time join."""

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
from driftloop.ops.checks.compare import matrices
from driftloop.ops.checks.model import Check
from driftloop.ops.checks.predictions import Predictions
from driftloop.ops.checks.raw import Recount
from driftloop.process.settings import Settings

Columns = dict[str, NDArray[np.float64]]


def declared_views(loop: str, feature_repo: Path) -> list[View]:
    """The loop's stream feature views, as its Feast module in that folder declares them."""
    feast_import.load()
    from feast import StreamFeatureView

    module = load_features(loop, feature_repo)
    found = {
        view.name: view
        for value in vars(module).values()
        for view in _members(value)
        if isinstance(view, StreamFeatureView)
    }
    return [_view(view) for view in found.values()]


def join_keys(loop: Loop, keys: Sequence[str], population: Sequence[Mapping[str, Any]]) -> dict[str, list[Any]]:
    """Values of every join key for predictions of these keys, from the events that they were asked for."""
    definition = loop.definition.prediction
    rows = {row[definition.key]: row for row in population}
    found: dict[str, list[Any]] = {}
    for name, source in definition.join_keys.items():
        if source.const is not None:
            found[name] = [source.const] * len(keys)
        else:
            declared = definition.inputs.get(source.input or "")
            column = (declared.column if declared else None) or source.input or name
            found[name] = [rows[key][column] for key in keys]
    return found


def some(predictions: Predictions, sample: int, seed: int) -> Predictions:
    """So many of them, or all, drawn with ``seed``, in their order."""
    drawn = np.random.default_rng(seed).choice(len(predictions), min(sample, len(predictions)), replace=False)
    return predictions.take(np.sort(drawn))


def asked_of(view: View, rows: Predictions, keys: Mapping[str, Sequence[Any]]) -> pa.Table:
    """What brute force is asked for a view: a row, its watermark and its entity for each prediction."""
    asked = {"row": np.arange(len(rows)), "watermark_ms": rows.feature_watermark_ms}
    return pa.table(asked | {key: pa.array(keys[key]) for key in view.join_keys})


def brute_force(
    predictions: Predictions, bundle: Bundle, loop: Loop, raw: Recount, settings: Settings, sample: int, seed: int
) -> Check:
    """Every feature and request input of some random predictions, computed again from raw events."""
    rows = some(predictions, sample, seed)
    keys = join_keys(loop, list(rows.key), raw.accepted[loop.definition.prediction.source])
    found: Columns = {}
    for view in declared_views(loop.name, settings.feature_repo):
        derive = loop.definition.events[view.event_type].derive
        values = compute(view, raw.table(view.event_type), derive, asked_of(view, rows, keys))
        found |= {f"{view.name}__{name}": column for name, column in values.items()}
    wanted = {each.name for each in bundle.manifest.numeric}
    said = logged(rows, bundle.manifest.numeric)
    found |= _requested(rows, bundle.manifest.numeric, loop, raw)
    return matrices("features, by brute force", said, {name: value for name, value in found.items() if name in wanted})


def feast_join(predictions: Predictions, bundle: Bundle, loop: Loop, raw: Recount, settings: Settings) -> Check:
    """Every feature of every prediction, by Feast's historical retrieval at the decision time."""
    import pandas as pd

    from driftloop.featurestore.feast_client import open_store

    store = open_store(settings)
    features = [each for each in bundle.manifest.numeric if each.source == "feature"]
    keys = join_keys(loop, list(predictions.key), raw.accepted[loop.definition.prediction.source])
    entity = pd.DataFrame({**keys, "row": np.arange(len(predictions))})
    entity["event_timestamp"] = pd.to_datetime(predictions.decision_time_ms, unit="ms", utc=True)
    names = [f"{each.view}:{each.feature}" for each in features]
    table = store.get_historical_features(entity, names, full_feature_names=True).to_arrow()
    order = np.argsort(table.column("row").to_numpy())
    found = {each.name: _floats(table.column(each.name))[order] for each in features}
    return matrices("features, by Feast's join", logged(predictions, bundle.manifest.numeric, only=set(found)), found)


def _floats(column: pa.ChunkedArray) -> NDArray[np.float64]:
    values: NDArray[np.float64] = column.cast(pa.float64()).fill_null(float("nan")).to_numpy()
    return values


def logged(rows: Predictions, inputs: Sequence[Input], only: set[str] | None = None) -> Columns:
    """Numeric inputs as the prediction log holds them, by name; of some names only, where given."""
    return {each.name: rows.numeric[:, at] for at, each in enumerate(inputs) if only is None or each.name in only}


def _requested(rows: Predictions, inputs: Sequence[Input], loop: Loop, raw: Recount) -> Columns:
    """Request inputs as the population's events hold them."""
    definition = loop.definition.prediction
    by_key = {row[definition.key]: row for row in raw.accepted[definition.source]}
    found: Columns = {}
    for each in inputs:
        if each.source == "request":
            column = definition.inputs[each.name].column or each.name
            values = [by_key[key][column] for key in rows.key]
            found[each.name] = np.array([np.nan if value is None else float(value) for value in values])
    return found


def _members(value: Any) -> list[Any]:
    return list(value) if isinstance(value, list | tuple) else [value]


def _view(view: Any) -> View:
    keys = tuple(sorted(view.join_keys))
    event_type = view.stream_source.tags["event_type"]
    aggregates = tuple(
        Aggregate(
            each.resolved_name(each.time_window),
            each.function,
            each.column,
            round(each.time_window.total_seconds() * 1000),
        )
        for each in view.aggregations
    )
    columns = tuple(field.name for field in view.features)
    return View(view.name, event_type, keys, aggregates, () if aggregates else columns)
