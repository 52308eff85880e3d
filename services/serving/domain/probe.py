"""The probe: a request with fixed values that tests a route before it counts as served."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from driftloop.loop import LoopDefinition
from driftloop.model.bundle import Input
from services.serving.domain.loop_config import DECISION_TIME
from services.serving.domain.model_config import input_types
from services.serving.domain.route import Route
from services.serving.domain.traffic_split import is_challenger

Value = str | int | float
_NEUTRAL: dict[str, Value] = {"string": "", "int64": 0, "double": 0.0}


@dataclass(frozen=True)
class GoldenRow:
    """First row of a bundle's golden sample."""

    numeric: NDArray[np.float64]
    """float64 [F]"""
    categorical: NDArray[np.str_]
    """str [C]"""


@dataclass(frozen=True, slots=True)
class ProbeAnswer:
    """The model's answer to a probe."""

    release_id: str
    prediction_id: str
    scores: tuple[float, ...]
    """One score, or one per class."""


def probe_key(route: Route) -> str:
    """Return the prediction key of a route's probe."""
    return f"probe-{route.epoch}"


def probe_id(route: Route) -> str:
    """Return the request id of a route's probe, which is also its prediction id."""
    return f"probe-{route.loop}-{route.epoch}"


def probe_values(
    definition: LoopDefinition,
    route: Route,
    inputs: tuple[Sequence[Input], Sequence[Input]],
    golden: GoldenRow,
    decision_time_ms: int,
) -> dict[str, Value]:
    """Return a value for each model input, from the golden sample (in the order of ``inputs``) or neutral."""
    known = {
        column.name: value
        for columns, row in zip(inputs, (golden.numeric, golden.categorical), strict=True)
        for column, value in zip(columns, row.tolist(), strict=True)
        if column.source == "request"
    }
    types = input_types(definition)
    values = {name: _convert(known.get(name, _NEUTRAL[kind]), kind) for name, kind in types.items()}
    if DECISION_TIME in types:
        values[DECISION_TIME] = max(decision_time_ms, 1)
    return {**values, definition.prediction.key: probe_key(route)}


def expected_release(route: Route) -> str:
    """Return the release that must answer the probe's key."""
    challenger = route.challenger
    if challenger and is_challenger(probe_key(route), challenger.release_id, route.challenger_share):
        return challenger.release_id
    return route.champion.release_id


def probe_problem(route: Route, answer: ProbeAnswer) -> str:
    """Return what is wrong with a probe's answer, or an empty string."""
    if answer.release_id != expected_release(route):
        return f"{answer.release_id} answered the probe instead of {expected_release(route)}"
    if answer.prediction_id != probe_id(route):
        return f"the probe's prediction id is {answer.prediction_id!r} instead of {probe_id(route)!r}"
    if not np.isfinite(answer.scores).all():
        return f"the probe's score is {', '.join(map(str, answer.scores))}"
    return ""


def _convert(value: Value, kind: str) -> Value:
    """Convert a value to an input's type. A missing integer becomes 0."""
    if kind != "int64":
        return value
    number = float(value)
    return 0 if number != number else int(number)
