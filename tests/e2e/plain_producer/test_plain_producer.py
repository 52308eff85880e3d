"""Real flights from a plain Kafka producer: no watermarks, sparse topics, a gap of three days, and a repeated day.

The reference loop with shorter windows, so that two weeks give a first champion.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pytest
import tritonclient.grpc as triton
from confluent_kafka import Producer

from driftloop.bus.kafka_settings import KafkaSettings
from driftloop.contracts.monitoring_pb2 import WindowClosed
from driftloop.events.event_log import read_events
from driftloop.featurestore.lake import LakeTable
from driftloop.loop.code import load_module
from driftloop.loop.load import load_loop
from driftloop.ops.replay.caller import Caller
from driftloop.process.settings import ROOT, Settings
from driftloop.readmodel.loop_history import loop_states
from tests.e2e.command_line import system
from tests.e2e.two_loops.harness import FLIGHTS, settings_of, up
from tests.helpers.eventually import assert_eventually

pytestmark = [pytest.mark.e2e, pytest.mark.proof, pytest.mark.timeout(1200)]

DAY_MS = 86_400_000
START_MS, END_MS = 1_356_912_000_000, 1_356_912_000_000 + 14 * DAY_MS
"""31 December 2012 to 13 January 2013, whole days."""
GAP_MS = (START_MS + 4 * DAY_MS, START_MS + 7 * DAY_MS)
RESTART_MS = START_MS + 9 * DAY_MS
SHORTER = {
    "first_champion_after: 29d": "first_champion_after: 10d",
    "window: {first_champion: 28d": "window: {first_champion: 9d",
    "validation: 4d": "validation: 2d",
    "members: 8": "members: 2",
    "min_gain_over_base_rate: 0.0": "min_gain_over_base_rate: -1.0",
}


@dataclass(frozen=True)
class Streamed:
    """The running system after the last event is stored. ``sent``: ids by event type, each once."""

    settings: Settings
    sent: Mapping[str, list[str]]


def send(bootstrap: str, tables: Mapping[str, pa.Table], start_ms: int, end_ms: int) -> None:
    """Send the events of [start, end) as any program does: JSON with the default partitioner, without headers."""
    producer = Producer({"bootstrap.servers": bootstrap})
    for topic, table in tables.items():
        key = load_loop(ROOT / "loops" / FLIGHTS).definition.events[topic].key
        for row in between(table, start_ms, end_ms).to_pylist():
            producer.produce(topic, json.dumps({name: v for name, v in row.items() if v is not None}), str(row[key]))
            producer.poll(0)
    assert producer.flush(60.0) == 0


def between(table: pa.Table, start_ms: int, end_ms: int) -> pa.Table:
    time = table["event_time_ms"]
    return table.filter(pc.and_(pc.greater_equal(time, start_ms), pc.less(time, end_ms)))


def without_gap(table: pa.Table) -> pa.Table:
    return pa.concat_tables([between(table, START_MS, GAP_MS[0]), between(table, GAP_MS[1], END_MS)])


def definitions(folder: Path) -> dict[str, str]:
    shutil.copytree(ROOT / "loops" / FLIGHTS, folder / "loops" / FLIGHTS)
    shutil.copytree(ROOT / "feature_repo", folder / "features")
    path = folder / "loops" / FLIGHTS / "loop.yaml"
    text = path.read_text()
    for before, after in SHORTER.items():
        assert before in text
        text = text.replace(before, after)
    path.write_text(text)
    return {"DRIFTLOOP_LOOPS_DIR": str(folder / "loops"), "DRIFTLOOP_FEATURE_REPO": str(folder / "features")}


@pytest.fixture(scope="module")
def streamed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Streamed]:
    folder = tmp_path_factory.mktemp("plain")
    events = load_module(ROOT / "loops" / FLIGHTS, "source").events(START_MS, END_MS)
    tables = {name: without_gap(table) for name, table in events.items()}
    with system(folder, definitions(folder)) as line:
        up(line)
        settings = settings_of(line)
        send(settings.kafka_bootstrap, tables, START_MS, RESTART_MS)
        send(settings.kafka_bootstrap, tables, RESTART_MS - DAY_MS, END_MS)
        sent = {name: sorted(table["event_id"].to_pylist()) for name, table in tables.items()}
        yield Streamed(settings, sent)


def stored_ids(settings: Settings, event_type: str) -> list[str]:
    table = LakeTable(settings.lake / FLIGHTS / "events" / event_type)
    return sorted(table.read().column("event_id").to_pylist()) if table.exists() else []


def has_stored(settings: Settings, event_type: str, count: int) -> bool:
    return len(stored_ids(settings, event_type)) >= count


def test_every_event_is_in_the_lake_once(streamed: Streamed) -> None:
    for event_type, ids in streamed.sent.items():
        assert_eventually(partial(has_stored, streamed.settings, event_type, len(ids)), 180.0)
        assert stored_ids(streamed.settings, event_type) == ids
    rejected = LakeTable(streamed.settings.lake / FLIGHTS / "rejected").read()
    assert set(rejected.column("reason").to_pylist()) == {"duplicate"}


def test_all_windows_close(streamed: Streamed) -> None:
    def ends() -> list[int]:
        events = read_events(KafkaSettings.of(streamed.settings))
        return sorted({event.data.end_ms for event in events if isinstance(event.data, WindowClosed)})

    last_ms = END_MS - DAY_MS
    assert_eventually(lambda: last_ms in ends(), 300.0, "the last window")
    assert [end - DAY_MS for end in ends()][1:] == ends()[:-1]


def test_a_first_champion_answers(streamed: Streamed) -> None:
    settings = streamed.settings

    def champion() -> str | None:
        [state] = loop_states(read_events(KafkaSettings.of(settings)))
        return state.champion

    release = assert_eventually(champion, 600.0, "the first champion")
    loop = load_loop(settings.loops_dir / FLIGHTS)
    events = load_module(loop.folder, "source").events(START_MS, END_MS)
    requests = load_module(loop.folder, "requests").requests(events)
    with triton.InferenceServerClient(settings.triton_grpc) as client:
        assert_eventually(lambda: client.is_model_ready(FLIGHTS), 120.0, "the model")
        inputs = Caller(client, FLIGHTS, loop.definition.prediction).inputs(requests.slice(requests.num_rows - 4))
        answer = client.infer(FLIGHTS, inputs, client_timeout=60.0)
    assert {name.decode() for name in answer.as_numpy("release_id").ravel()} == {release}
