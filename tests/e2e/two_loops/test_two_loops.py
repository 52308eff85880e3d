"""Two loops in one system, replayed at once: neither affects the other."""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Iterable
from itertools import chain
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from driftloop.contracts import evaluation_pb2 as evaluation
from driftloop.contracts import monitoring_pb2 as monitoring
from driftloop.contracts import registry_pb2 as registry
from driftloop.events.envelope import Envelope
from driftloop.featurestore.lake import LakeTable
from driftloop.loop import to_ms
from driftloop.ops.checks.model import Check
from driftloop.ops.report import chains
from driftloop.ops.report.releases import outcomes
from driftloop.readmodel.loop_history import LoopHistory
from tests.e2e.two_loops.harness import FLIGHTS, ORDERS, TwoLoopReplay
from tests.loops.orders.source import ORDER_HISTORY, SHOPS, invent

pytestmark = [pytest.mark.e2e, pytest.mark.proof, pytest.mark.timeout(930)]

LOOPS = (FLIGHTS, ORDERS)
RETURNS = ("order_ref", "at_ms", "returned")
ID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}|\b[a-z]+-[0-9a-f]{12}\b")
"""The id of an event, release, run or request."""


@pytest.mark.parametrize("loop", LOOPS)
def test_each_loop_has_its_own_champion_and_is_served_by_it(two_loops: TwoLoopReplay, loop: str) -> None:
    first = two_loops.of(loop, registry.ChampionPromoted)[0].data
    assert first.previous_release_id == ""
    assert two_loops.calls[loop]["failed"] == 0
    predictions = two_loops.predictions[loop]
    assert two_loops.calls[loop]["answered"] == (~predictions.probe).sum() > 500
    assert first.release_id in set(predictions.release)


def test_the_alarm_of_orders_leads_through_shadow_and_canary_to_an_end(two_loops: TwoLoopReplay) -> None:
    [alarm] = [event for event in two_loops.of(ORDERS, monitoring.DriftDetected) if event.data.mode == "trigger"]
    history = LoopHistory(ORDERS, two_loops.of(ORDERS))
    [story] = [chain for chain in chains.chains(history) if chain.opened_by_alarm]
    assert story.events[0].id == alarm.id
    stages = [event.data.stage for event in story.events if isinstance(event.data, registry.StageEntered)]
    assert stages[:2] == ["shadow", "canary"]
    assert len(story.ends) == 1
    assert chains.unended(history) == []
    verdicts = [event.data for event in story.events if isinstance(event.data, evaluation.VerdictReached)]
    assert [(verdict.stage, verdict.outcome) for verdict in verdicts if verdict.outcome == evaluation.BETTER][:2] == [
        ("offline", evaluation.BETTER),
        ("shadow", evaluation.BETTER),
    ]


def test_the_loops_share_no_id(two_loops: TwoLoopReplay) -> None:
    named = {loop: set(chain(*map(_ids, two_loops.of(loop)))) for loop in LOOPS}
    assert min(map(len, named.values())) > 100
    assert named[FLIGHTS] & named[ORDERS] == set()
    assert {event.loop for event in two_loops.events} == set(LOOPS)


@pytest.mark.parametrize("loop", LOOPS)
def test_events_refer_to_events_of_their_own_loop(two_loops: TwoLoopReplay, loop: str) -> None:
    events = two_loops.of(loop)
    known = {event.id for event in events}
    causes = {event.causation_id for event in events if event.causation_id}
    evidence = {name for event in events for name in getattr(event.data, "evidence_ids", ())}
    assert causes
    assert causes | evidence | {event.correlation_id for event in events} <= known
    assert {event.data.loop for event in events} == {loop}


@pytest.mark.parametrize("loop", LOOPS)
def test_predictions_use_keys_and_releases_of_their_own_loop(two_loops: TwoLoopReplay, loop: str) -> None:
    predictions = two_loops.predictions[loop]
    releases = {event.data.release.release_id for event in two_loops.of(loop, registry.ReleaseCreated)}
    assert set(predictions.release) | set(chain(*predictions.scores)) <= releases
    requested = {key for key, probe in zip(predictions.key, predictions.probe, strict=True) if not probe}
    assert requested <= _keys(two_loops, loop)


def test_the_lake_keeps_the_rows_of_the_loops_apart(two_loops: TwoLoopReplay) -> None:
    home = two_loops.settings.home
    words = {loop: _words(home / "lake" / loop) for loop in LOOPS}
    assert set(SHOPS) < words[ORDERS]
    assert {"EWR", "JFK", "LGA"} < words[FLIGHTS]
    assert words[FLIGHTS] & words[ORDERS] <= {"", "all"}  # a constant join key of both loops


@pytest.mark.parametrize("loop", LOOPS)
def test_online_features_and_watermarks_belong_to_their_own_loop(two_loops: TwoLoopReplay, loop: str) -> None:
    settings = two_loops.settings
    with sqlite3.connect(f"file:{settings.online_db}?mode=ro", uri=True) as online:
        marks = online.execute("select view, watermark_ms from driftloop_watermarks where loop = ?", [loop]).fetchall()
        keys = {
            view: online.execute(f'select distinct entity_key from "driftloop_{view}"').fetchall() for view, _ in marks
        }
    assert {view for view, _ in marks} == {path.name for path in (settings.home / "lake" / loop / "views").iterdir()}
    assert {at for _, at in marks} == {_end_ms(two_loops, loop)}
    for view, rows in keys.items():
        of_orders = {any(name.encode() in key for name in (*SHOPS, "all")) for (key,) in rows}
        assert of_orders == {loop == ORDERS or "network" in view}, view


@pytest.mark.parametrize("loop", LOOPS)
def test_every_check_is_equal(two_loops: TwoLoopReplay, loop: str) -> None:
    checks: list[Check] = list(two_loops.checks[loop].checks)
    assert [check for check in checks if check.unequal] == []
    compared = {check.name: check.compared for check in checks}
    assert compared["features, by brute force"] > 1_000
    assert compared["features, by Feast's join"] > 1_000


def test_a_missing_outcome_is_counted_and_is_in_no_loss(two_loops: TwoLoopReplay) -> None:
    definition = two_loops.loops[ORDERS].definition
    until_ms = max(event.data.end_ms for event in two_loops.of(ORDERS, monitoring.WindowClosed))
    inspected = zip(*(invent(ORDER_HISTORY)["orders.inspected"][name].to_pylist() for name in RETURNS), strict=True)
    values = {key: (at, returned) for key, at, returned in inspected if at < until_ms}
    predictions = two_loops.predictions[ORDERS]
    decided = dict(
        zip(predictions.key[~predictions.probe], predictions.decision_time_ms[~predictions.probe], strict=True)
    )
    horizon = to_ms(definition.label.horizon)
    joined = {key for key, at in decided.items() if key in values and values[key][0] <= at + horizon}
    missing = {key for key, at in decided.items() if key not in joined and at + horizon < until_ms}
    output = outcomes(LoopHistory(ORDERS, two_loops.of(ORDERS)))
    assert len(missing) > 200
    assert (output["joined"], output["missing"]) == (len(joined), len(missing))
    assert output["late"] > 20
    answered = [row for event in two_loops.of(ORDERS, monitoring.WindowClosed) for row in event.data.releases]
    champions = [row for row in answered if row.role == "champion"]
    assert sum(row.count for row in champions) == len(joined)
    assert sum(row.outcome_sum for row in champions) == sum(values[key][1] for key in joined)


def _ids(event: Envelope[Any]) -> Iterable[str]:
    return ID.findall(f"{event.id} {event.correlation_id} {event.causation_id} {event.data}")


def _keys(two_loops: TwoLoopReplay, loop: str) -> set[str]:
    """Return the keys of the loop's source events in its lake."""
    definition = two_loops.loops[loop].definition.prediction
    return set(
        LakeTable(two_loops.settings.lake / loop / "events" / definition.source).read()[definition.key].to_pylist()
    )


def _words(folder: Path) -> set[str]:
    """Return every string in every table of a loop's part of the lake."""
    tables = [LakeTable(log.parent).read() for log in sorted(folder.rglob("_delta_log"))]
    assert len(tables) > 6
    return {value for table in tables for column in table.columns for value in _strings(column)}


def _strings(column: pa.ChunkedArray) -> set[str]:
    if not (pa.types.is_string(column.type) or pa.types.is_large_string(column.type)):
        return set()
    return {value for value in column.unique().to_pylist() if value is not None}


def _end_ms(two_loops: TwoLoopReplay, loop: str) -> int:
    """Return the newest watermark that the features of a loop have published."""
    return max(event.time_ms for event in two_loops.of(loop) if event.type.endswith(".WatermarkAdvanced"))
