"""The router reads the same features as Feast, and late rows are the only reason for a different value."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from numpy.typing import NDArray

from driftloop.bus.ports import Record
from driftloop.featurestore.feast_client import open_store
from driftloop.featurestore.lake import LakeTable
from driftloop.ops.checks.compare import unequal
from driftloop.ops.checks.features import join_keys
from driftloop.ops.checks.predictions import Predictions
from driftloop.ops.checks.raw import records_of_topics, recount
from driftloop.process.home_secrets import read_secret
from tests.e2e.running.system import RunningSystem, infer
from tests.helpers.eventually import assert_eventually
from tests.helpers.late_events import LateFindings, late_rows

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(1200)]

KEYS = 1000
BATCH = 250
SAMPLE = 1000
SEED = 0
UNTIL_MS = 1_361_664_000_000
"""February 24: the first champion has answered for twelve days."""
DAY_MS = 86_400_000


def test_a_thousand_keys_read_through_the_router_equal_feasts_online_features(running: RunningSystem) -> None:
    requests = _some_requests(running)
    with running.client() as client:
        for start in range(0, KEYS, BATCH):
            batch = requests.slice(start, BATCH)
            infer(running.settings, client, running.loop.name, running.tensors(client, batch), f"keys-{start}")
    log = _logged_predictions(running)
    features = [
        (at, column) for at, column in enumerate(running.bundle().manifest.numeric) if column.source == "feature"
    ]
    online = _online_features(running, log, requests, [f"{column.view}:{column.feature}" for _, column in features])
    compared = 0
    for at, column in features:
        served, expected = log.numeric[:, at], online[f"{column.view}__{column.feature}"]
        assert not unequal(served, expected).any(), column.name
        compared += int(np.isfinite(expected).sum())
    assert compared > KEYS * len(features) * 0.8, "most keys have features"


def _some_requests(running: RunningSystem) -> pa.Table:
    requests = running.requests
    return requests.take(np.sort(np.random.default_rng(SEED).choice(requests.num_rows, KEYS, replace=False)))


def _logged_predictions(running: RunningSystem) -> Predictions:
    """Wait until the log has all the keys' predictions, and return them."""

    def find() -> list[Predictions]:
        log = running.predictions()
        predictions = log.take(np.array([name.startswith("keys-") for name in log.id]))
        return [predictions] if len(predictions) == KEYS else []

    return assert_eventually(find, 60.0, "the predictions in the log")[0]


def _online_features(
    running: RunningSystem, log: Predictions, requests: pa.Table, names: list[str]
) -> dict[str, NDArray[np.float64]]:
    keys = join_keys(running.loop, list(log.key), requests.to_pylist())
    rows = [dict(zip(keys, values, strict=True)) for values in zip(*keys.values(), strict=True)]
    store: Any = open_store(running.settings)
    answer = store.get_online_features(features=names, entity_rows=rows, full_feature_names=True).to_dict()
    return {name: np.array([np.nan if v is None else v for v in values], np.float64) for name, values in answer.items()
            if name not in keys}  # fmt: skip


@pytest.fixture(scope="module")
def late(running: RunningSystem) -> LateFindings:
    """Compare served features with all rows at their event time, in the champion's first days."""
    topics = list(running.loop.definition.events)
    records = _first_days(records_of_topics(running.topic(*topics), topics))
    raw = recount(records, running.loop, read_secret(running.settings.probe_secret))
    log = running.predictions()
    requests = log.take(~log.probe & (log.decision_time_ms < UNTIL_MS))
    return late_rows(requests, running.bundle(), running.loop, raw, running.settings, SAMPLE, SEED)


def _first_days(records: Iterable[Record]) -> Iterator[Record]:
    """Yield the records of each partition until a watermark one day later, when all rows of these days have arrived."""
    finished: set[tuple[str, int]] = set()
    for record in records:
        partition = (record.topic, record.partition)
        if partition not in finished:
            yield record
            mark = record.header("driftloop-watermark")
            if mark is not None and int(mark) >= UNTIL_MS + DAY_MS:
                finished.add(partition)


def test_every_difference_names_its_late_event(late: LateFindings) -> None:
    assert len(late.differences) > 100
    assert late.check.unequal == 0, late.check.detail
    assert all(difference.late for difference in late.differences)


def test_named_events_are_late(running: RunningSystem, late: LateFindings) -> None:
    named = {event for difference in late.differences for event in difference.late}
    assert len(named) > 20
    assert named <= _late_in_the_lake(running)


def test_about_one_row_in_a_hundred_is_late(running: RunningSystem) -> None:
    stored = sum(_rows(running, event).num_rows for event in running.loop.definition.events)
    assert 0.005 < len(_late_in_the_lake(running)) / stored < 0.015


def _rows(running: RunningSystem, event_type: str) -> pa.Table:
    return LakeTable(running.settings.lake / running.loop.name / "events" / event_type).read()


def _late_in_the_lake(running: RunningSystem) -> set[str]:
    event_ids: set[str] = set()
    for event_type in running.loop.definition.events:
        rows = _rows(running, event_type)
        is_late = rows.column("event_time_ms").to_numpy() < rows.column("arrival_watermark_ms").to_numpy()
        event_ids |= set(rows.column("event_id").filter(pa.array(is_late)).to_pylist())
    return event_ids
