"""loop.yaml against the sources beside it."""

from datetime import timedelta

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest
from numpy.typing import NDArray

from driftloop.loop import Loop
from driftloop.loop.compile import compile_protos
from driftloop.loop.definition import FieldRule
from driftloop.loop.load import DESCRIPTORS
from loops.flights import requests, source

pytestmark = pytest.mark.integration

MARCH_1 = 1_362_096_000_000
DAY = 86_400_000


@pytest.fixture(scope="module")
def three_days() -> dict[str, pa.Table]:
    return source.events(MARCH_1, MARCH_1 + 5 * DAY)


def test_the_descriptor_set_is_compiled_from_the_protos(loop: Loop) -> None:
    assert (loop.folder / DESCRIPTORS).read_bytes() == compile_protos(loop.folder)


def test_requests_have_the_key_the_time_and_every_input(loop: Loop, three_days: dict[str, pa.Table]) -> None:
    rows = requests.requests(three_days)
    prediction = loop.definition.prediction
    assert rows.column_names == [prediction.key, "decision_time_ms", *prediction.inputs]
    for name, item in prediction.inputs.items():
        assert rows[name].type == (pa.string() if item.type == "string" else pa.float64())
        assert rows[name].null_count == 0
    assert timedelta(0) - prediction.decision_time.offset == requests.DECIDED_AHEAD
    times = rows["decision_time_ms"].to_numpy()
    assert (np.diff(times) >= 0).all()


def floats(column: pa.ChunkedArray) -> NDArray[np.float64]:
    return np.asarray(column.cast(pa.float64()).fill_null(float("nan")).to_numpy(), np.float64)


def test_derived_columns_equal_the_same_formulas_in_numpy(loop: Loop, three_days: dict[str, pa.Table]) -> None:
    departed, arrived, weather = (three_days[name] for name in (source.DEPARTED, source.ARRIVED, source.WEATHER))
    expected = {
        "dep_delay_clipped": np.clip(floats(departed["dep_delay_minutes"]), -20.0, 180.0),
        "late": (floats(arrived["arr_delay_minutes"]) > 15.0).astype(np.float64),
        "precipitation_hundredths": np.round(floats(weather["precipitation_in"]) * 100.0),
        "pressure_tenths": np.round(floats(weather["pressure_mb"]) * 10.0),
    }
    derived = {
        column: floats(duckdb.from_arrow(three_days[name]).project(f"{expression} AS it").to_arrow_table()["it"])
        for name, event in loop.definition.events.items()
        for column, expression in event.derive.items()
        if column != "network"
    }
    assert derived.keys() == expected.keys()
    for name, values in expected.items():
        np.testing.assert_array_equal(derived[name], values)


def breaches(column: pa.ChunkedArray, rule: FieldRule) -> int:
    """Rows that a range or an enum refuses."""
    if pa.types.is_string(column.type):
        allowed = pa.array(rule.enum or pc.unique(column).to_pylist(), pa.string())
        short = pc.less_equal(pc.utf8_length(column), rule.max_length or 1000)
        fine = pc.and_(pc.and_(pc.is_in(column, allowed), short), pc.not_equal(column, "" if rule.required else "-"))
    else:
        least, most = -np.inf if rule.min is None else rule.min, np.inf if rule.max is None else rule.max
        fine = pc.and_(pc.greater_equal(column, least), pc.less_equal(column, most))
    return int(pc.sum(pc.invert(fine)).as_py() or 0)


def test_real_events_obey_the_rules_except_one_impossible_wind(loop: Loop, story: dict[str, pa.Table]) -> None:
    counts = {
        f"{name}.{field}": breaches(story[name][field], rule)
        for name, event in loop.definition.events.items()
        for field, rule in event.rules.items()
    }
    assert {field: count for field, count in counts.items() if count} == {"weather.observed.wind_speed_mph": 1}
