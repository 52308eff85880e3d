"""All rows of a period at once, as the loop would learn them: only for the simulation."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime

import numpy as np
import pandas as pd
import pyarrow as pa
from numpy.typing import NDArray

from driftloop.loop import LoopDefinition, to_ms
from driftloop.model.trainer import TrainingSet
from driftloop.ops.checks.bruteforce import compute
from driftloop.ops.checks.features import declared_views
from driftloop.ops.replay.permute import permute_outcomes
from driftloop.process.settings import ROOT
from loops.flights import requests, source

STEP_MS = 3_600_000
"""Watermarks are at whole hours: the step of the shipped replay."""
NEVER = np.iinfo(np.int64).max


@dataclass(frozen=True)
class World:
    """Rows in order of decision time, with their outcomes.

    ``rows.label`` is NaN and ``outcome_ms`` is `NEVER` if no outcome arrives within the horizon.
    """

    rows: TrainingSet
    outcome_ms: NDArray[np.int64]
    origin_ms: int
    """Start of the first window: the day of the first event, UTC ms."""

    def known(self, start_ms: int, end_ms: int) -> NDArray[np.int64]:
        """Return the rows decided in [start, end) whose outcome is visible at the end."""
        decided = self.rows.decision_time_ms
        return np.flatnonzero((decided >= start_ms) & (decided < end_ms) & (self.outcome_ms < end_ms))

    def closed(self, start_ms: int, end_ms: int) -> NDArray[np.int64]:
        """Return the rows whose outcome is in the window."""
        return np.flatnonzero((self.outcome_ms >= start_ms) & (self.outcome_ms < end_ms))

    def take(self, chosen: NDArray[np.int64]) -> TrainingSet:
        mask = np.zeros(len(self.outcome_ms), np.bool_)
        mask[chosen] = True
        return self.rows.rows(mask)


def build(definition: LoopDefinition, start: date, end: date, permute_seed: int | None = None) -> World:
    """Return all model inputs and outcomes of the flights that are complete in [start, end), in UTC days.

    With ``permute_seed`` each day has the outcomes of another day, so there is no signal.
    """
    events = source.events(_ms(start), _ms(end))
    if permute_seed is not None:
        rule = definition.events[source.ARRIVED]
        events[source.ARRIVED] = permute_outcomes(events[source.ARRIVED], rule, permute_seed)
    rows = requests.requests(events)
    decision_ms = rows["decision_time_ms"].to_numpy()
    features = _features(definition, events, rows, decision_ms // STEP_MS * STEP_MS)
    inputs = {name: item for name, item in definition.prediction.inputs.items() if item.model}
    doubles = [name for name, item in inputs.items() if item.type != "string"]
    strings = [name for name, item in inputs.items() if item.type == "string"]
    key = rows["flight_id"].to_numpy()
    label, outcome_ms = _outcomes(definition, events[source.ARRIVED], key, decision_ms)
    training = TrainingSet(
        numeric=np.column_stack([*features.values(), *(rows[name].to_numpy() for name in doubles)]),
        categorical=np.column_stack([rows[name].to_numpy() for name in strings]),
        label=label,
        decision_time_ms=decision_ms,
        key=key,
        numeric_names=[*features, *doubles],
        categorical_names=strings,
    )
    first = min(int(table["event_time_ms"][0].as_py()) for table in events.values())
    block = to_ms(definition.monitoring.block)
    return World(training, outcome_ms, first // block * block)


def _features(
    definition: LoopDefinition, events: Mapping[str, pa.Table], rows: pa.Table, watermark_ms: NDArray[np.int64]
) -> dict[str, NDArray[np.float64]]:
    """Return the stored features of each request by input name, counted from the raw events, float64 [n].

    Requests with the same entity and watermark are counted once: there are far fewer of them than requests.
    """
    features: dict[str, NDArray[np.float64]] = {}
    for view in declared_views(definition.loop, ROOT / "feature_repo"):
        keys = {name: _join_key(definition, name, rows) for name in view.join_keys}
        entities = pd.DataFrame({"watermark_ms": watermark_ms, **keys})
        number = entities.groupby(list(entities), sort=False).ngroup().to_numpy()
        distinct = entities.drop_duplicates().assign(row=np.arange(number.max() + 1))
        derive = definition.events[view.event_type].derive
        columns = compute(view, _in_time(events[view.event_type]), derive, pa.Table.from_pandas(distinct))
        features |= {f"{view.name}__{name}": values[number] for name, values in columns.items()}
    return features


def _join_key(definition: LoopDefinition, name: str, rows: pa.Table) -> object:
    key = definition.prediction.join_keys[name]
    return rows[key.input or name].to_pandas() if key.const is None else key.const


def _in_time(table: pa.Table) -> pa.Table:
    """Return raw events that all arrived in time, in the order of the table."""
    table = table.append_column("arrival_watermark_ms", table["event_time_ms"])
    table = table.append_column("source_partition", pa.array(np.zeros(table.num_rows, np.int32)))
    return table.append_column("source_offset", pa.array(np.arange(table.num_rows)))


def _outcomes(
    definition: LoopDefinition, arrived: pa.Table, key: NDArray[np.object_], decided: NDArray[np.int64]
) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    outcome = dict(zip(arrived["flight_id"].to_pylist(), range(arrived.num_rows), strict=True))
    position = np.asarray([outcome.get(name, -1) for name in key])
    time = np.where(position >= 0, arrived["event_time_ms"].to_numpy()[position], NEVER)
    late = (arrived["arr_delay_minutes"].to_numpy()[position] > 15).astype(np.float64)
    joined = (position >= 0) & (time <= decided + to_ms(definition.label.horizon))
    return np.where(joined, late, np.nan), np.where(joined, time, NEVER)


def _ms(day: date) -> int:
    return round(datetime(day.year, day.month, day.day, tzinfo=UTC).timestamp() * 1000)
