"""Joins a run's training frame: ``python -m services.training.run.frame --spec SPEC``.

Reads decisions and outcomes from the lake's event tables, and features from Feast's point-in-time join over the offline
views, all at pinned versions. Writes `frame.arrow`, or `frame.problem` with exit code 3.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.dataset as pads
from deltalake import DeltaTable
from deltalake.exceptions import TableNotFoundError

from driftloop.featurestore import feast_import
from driftloop.loop import LoopDefinition, load_loop, to_ms
from driftloop.model.bundle import Input
from driftloop.model.trainer import TrainingSet
from driftloop.process import log
from driftloop.process.settings import Settings
from services.training.domain import population
from services.training.errors import DataError
from services.training.inputs import request_input, service_inputs
from services.training.run.dataset import DATA_PROBLEM, FRAME, PROBLEM, Dataset, matrix, text_matrix, write_dataset
from services.training.run.exit import exit_now
from services.training.spec import RunSpec, TableVersion, read_spec

if TYPE_CHECKING:
    import pandas as pd

_RESERVED = {"key", "label", "score", "decision_time_ms"}


def build(spec: RunSpec, definition: LoopDefinition) -> Dataset:
    """Return the training frame.

    Raises:
        DataError: a table is missing, or no row of the window has a known outcome.
    """
    decisions, label, counts = _labelled(spec, definition)
    prediction = definition.prediction
    keys = {name: population.join_key_column(decisions, prediction, name) for name in prediction.join_keys}
    times = pa.array(decisions.decision_time_ms.to_numpy() * 1000, pa.timestamp("us", tz="UTC"))
    features = _features(spec, prediction.feature_service, pa.table({**keys, "event_timestamp": times}).to_pandas())
    columns = _Columns(decisions.rows.num_rows)
    columns.add_features(features)
    columns.add_inputs(decisions.rows, definition)
    rows = TrainingSet(
        numeric=matrix(list(columns.numbers.values()), columns.rows),
        categorical=text_matrix(list(columns.strings.values()), columns.rows),
        label=label,
        decision_time_ms=decisions.decision_time_ms.to_numpy(),
        key=np.asarray(decisions.key.to_numpy(zero_copy_only=False), dtype=object),
        numeric_names=[number.name for number in columns.numbers],
        categorical_names=[string.name for string in columns.strings],
        classes=definition.label.classes,
    )
    return Dataset(tuple(columns.numbers), tuple(columns.strings), rows, counts)


class _Columns:
    """Model inputs in order: features, then request inputs; numbers and strings separately."""

    def __init__(self, rows: int) -> None:
        self.rows = rows
        self.numbers: dict[Input, Any] = {}
        self.strings: dict[Input, Any] = {}

    def add_features(self, features: Mapping[Input, pd.Series[Any]]) -> None:
        for feature, column in features.items():
            if feature.dtype == "string":
                self.strings[feature] = column.fillna("").astype(object).to_numpy()
            else:
                numbers = column.astype("float64").to_numpy()
                self.numbers[feature] = np.where(np.isfinite(numbers), numbers, np.nan)

    def add_inputs(self, rows: pa.Table, definition: LoopDefinition) -> None:
        """Add the inputs that a caller would send."""
        for name, declared in definition.prediction.inputs.items():
            if not declared.model:
                continue
            if name in _RESERVED:
                raise DataError(f"input {name!r} has the name of a holdout column; rename the input in loop.yaml")
            column = population.input_column(rows, name, declared)
            model_input = request_input(name, declared)
            (self.strings if model_input.dtype == "string" else self.numbers)[model_input] = column


def _labelled(spec: RunSpec, definition: LoopDefinition) -> tuple[population.Decisions, Any, dict[str, int]]:
    prediction, label = definition.prediction, definition.label
    source = _table(spec, prediction.source)
    column, offset_ms = prediction.decision_time.column, to_ms(prediction.decision_time.offset)
    in_window = (pads.field(column) >= spec.window_start_ms - offset_ms) & (
        pads.field(column) < spec.window_end_ms - offset_ms
    )
    rows = source.to_table(columns=list(population.columns_of(prediction)), filter=in_window)
    decisions = population.decisions_between(rows, prediction, spec.window_start_ms, spec.window_end_ms)
    outcomes = _table(spec, label.source).to_table(
        columns=list(population.outcome_columns_of(label)), filter=pads.field("event_time_ms") < spec.window_end_ms
    )
    value = population.labels_of(
        decisions, population.known_outcomes(outcomes, label, spec.window_end_ms, decisions), to_ms(label.horizon)
    )
    known = ~np.isnan(value)
    counts = {
        "population": len(decisions.key) + decisions.repeated,
        "repeated": decisions.repeated,
        "without_outcome": int((~known).sum()),
        "labelled": int(known.sum()),
    }
    if not counts["labelled"]:
        raise DataError(f"no row of the window has a known outcome: {counts}")
    return decisions.select(known), value[known], counts


def _table(spec: RunSpec, event_type: str) -> pads.Dataset:
    table: TableVersion | None = spec.events.get(event_type)
    if table is None:
        raise DataError(f"the lake has no table for {event_type} yet")
    try:
        return DeltaTable(table.path, version=table.version).to_pyarrow_dataset()
    except TableNotFoundError as error:
        raise DataError(f"{table.path} is not a Delta table") from error


def _features(spec: RunSpec, service_name: str, entities: pd.DataFrame) -> dict[Input, pd.Series[Any]]:
    """Return one column per feature, in the service's order and the rows' order."""
    feast_import.load()
    from driftloop.featurestore.feast_client import open_store, training_frame

    settings = Settings(
        home=Path(spec.home), feature_repo=Path(spec.feature_repo), state_url=spec.state_url, store_url=spec.store_url
    )
    store = open_store(settings)
    inputs = service_inputs(store, service_name)
    versions = {name: table.version for name, table in spec.views.items()}
    frame = training_frame(store, service_name, entities, versions)
    return {feature: frame[feature.name] for feature in inputs}


def main() -> int:
    """Build and write the frame; return the exit code."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--spec", type=Path, required=True)
    spec = read_spec(parser.parse_args().spec)
    log.configure("training-frame", os.environ.get("DRIFTLOOP_LOG_LEVEL", "INFO"))
    try:
        dataset = build(spec, load_loop(Path(spec.loop_folder)).definition)
    except DataError as error:
        (Path(spec.folder) / PROBLEM).write_text(str(error))
        return DATA_PROBLEM
    write_dataset(Path(spec.folder) / FRAME, dataset)
    log.get(__name__).info("frame", run_id=spec.run_id, columns=len(dataset.numeric), **dataset.counts)
    return 0


if __name__ == "__main__":
    exit_now(main())
