"""All rows of a period at once, as the loop would learn them: only for the simulation."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from driftloop.loop import LoopDefinition, to_ms
from driftloop.model.trainer import TrainingSet
from driftloop.ops.replay.permute import permute_outcomes
from loops.flights import bruteforce, requests, source

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
        """Return rows by position."""
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
    asked = requests.requests(events)
    watermark = asked["decision_time_ms"].to_numpy() // STEP_MS * STEP_MS
    found = bruteforce.features(events, asked.append_column("watermark_ms", pa.array(watermark)))
    sent = {name: each for name, each in definition.prediction.inputs.items() if each.model}
    doubles = [name for name, each in sent.items() if each.type != "string"]
    strings = [name for name, each in sent.items() if each.type == "string"]
    numeric = np.column_stack([*found.values(), *(asked[name].to_numpy() for name in doubles)])
    key = asked["flight_id"].to_numpy()
    label, outcome_ms = _outcomes(definition, events[source.ARRIVED], key, asked["decision_time_ms"].to_numpy())
    rows = TrainingSet(
        numeric=np.ascontiguousarray(numeric),
        categorical=np.column_stack([asked[name].to_numpy() for name in strings]),
        label=label,
        decision_time_ms=asked["decision_time_ms"].to_numpy(),
        key=key,
        numeric_names=[*(name.replace(":", "__") for name in found), *doubles],
        categorical_names=strings,
    )
    first = min(int(table["event_time_ms"][0].as_py()) for table in events.values())
    block = to_ms(definition.monitoring.block)
    return World(rows, outcome_ms, first // block * block)


def _outcomes(
    definition: LoopDefinition, arrived: pa.Table, key: NDArray[np.object_], decided: NDArray[np.int64]
) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    outcome = dict(zip(arrived["flight_id"].to_pylist(), range(arrived.num_rows), strict=True))
    place = np.asarray([outcome.get(each, -1) for each in key])
    time = np.where(place >= 0, arrived["event_time_ms"].to_numpy()[place], NEVER)
    late = (arrived["arr_delay_minutes"].to_numpy()[place] > 15).astype(np.float64)
    joined = (place >= 0) & (time <= decided + to_ms(definition.label.horizon))
    return np.where(joined, late, np.nan), np.where(joined, time, NEVER)


def _ms(day: date) -> int:
    return round(datetime(day.year, day.month, day.day, tzinfo=UTC).timestamp() * 1000)
