"""loop.yaml against the sources beside it."""

from datetime import timedelta

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest

from driftloop.loop import Loop
from driftloop.loop.compile import compile_protos
from driftloop.loop.definition import FieldRule
from driftloop.loop.load import DESCRIPTORS
from loops.flights import bruteforce, requests, source

pytestmark = pytest.mark.integration

MARCH_1 = 1_362_096_000_000
DAY = 86_400_000


@pytest.fixture(scope="module")
def three_days() -> dict[str, pa.Table]:
    return source.events(MARCH_1, MARCH_1 + 5 * DAY)


def test_the_descriptor_set_is_that_of_the_protos(loop: Loop) -> None:
    assert (loop.folder / DESCRIPTORS).read_bytes() == compile_protos(loop.folder)


def test_requests_carry_the_key_the_time_and_every_input(loop: Loop, three_days: dict[str, pa.Table]) -> None:
    asked = requests.requests(three_days)
    prediction = loop.definition.prediction
    assert asked.column_names == [prediction.key, "decision_time_ms", *prediction.inputs]
    for name, each in prediction.inputs.items():
        assert asked[name].type == (pa.string() if each.type == "string" else pa.float64())
        assert asked[name].null_count == 0
    assert timedelta(0) - prediction.decision_time.offset == requests.DECIDED_AHEAD
    times = asked["decision_time_ms"].to_numpy()
    assert (np.diff(times) >= 0).all()


def test_derived_columns_are_those_that_the_brute_force_writes_out_again(
    loop: Loop, three_days: dict[str, pa.Table]
) -> None:
    checked = 0
    for name, event in loop.definition.events.items():
        rows = duckdb.from_arrow(three_days[name])
        for column, expression in event.derive.items():
            if column != "network":
                found = rows.project(f"{expression} AS it").to_arrow_table()["it"]
                expected = bruteforce._value(three_days[name], column)
                np.testing.assert_array_equal(bruteforce._floats(found), expected)
                checked += 1
    assert checked == 4


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


def test_real_events_keep_their_fields_rules_but_for_one_impossible_wind(
    loop: Loop, story: dict[str, pa.Table]
) -> None:
    found = {
        f"{name}.{field}": breaches(story[name][field], rule)
        for name, event in loop.definition.events.items()
        for field, rule in event.rules.items()
    }
    assert {field: count for field, count in found.items() if count} == {"weather.observed.wind_speed_mph": 1}
