"""Bad input is rejected with the documented reason; accepted rows are kept, and no process ends."""

from __future__ import annotations

import asyncio
import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import tritonclient.grpc as triton
from confluent_kafka import KafkaError, Producer
from tritonclient.utils import InferenceServerException

from driftloop.bus.kafka_batch import KafkaBatchProducer
from driftloop.bus.kafka_settings import KafkaSettings
from driftloop.bus.ports import Outgoing, Record
from driftloop.events.probe import MARKER, PROBE, SECRET
from driftloop.featurestore.lake import LakeTable
from driftloop.ops.checks.run import ingestion_checks
from driftloop.process.errors import UndeclaredTopic
from tests.e2e.running.bad_records import JSON, TOPIC, BadRecord, bad_records, event, good
from tests.e2e.running.system import END_MS, RunningSystem, infer
from tests.helpers import header_names
from tests.helpers.eventually import assert_eventually

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(1200)]

NAMES = [record.name for record in bad_records(0, 1)]
UNKNOWN_FIELD = "after-unknown-field"
"""Id of a good event with a field that the message lacks."""
UNDECLARED = "flights.landed"
Change = Callable[[triton.InferInput], triton.InferInput | None]


@dataclass(frozen=True)
class BadInputResult:
    """The result of sending each bad record followed by a good one."""

    sent: dict[str, BadRecord]
    dead_letters: dict[str, Record]
    """By name of the bad record."""
    accepted: list[str]
    """Ids of this test's rows in the lake, with repetitions."""
    rejected: list[dict[str, Any]]
    pids: tuple[dict[str, list[int]], dict[str, list[int]]]


@pytest.fixture(scope="module")
def result(running: RunningSystem) -> BadInputResult:
    """Send each bad record followed by a good one, the first good one twice, and wait for the last."""
    now_ms = running.watermark_ms + 1000
    bad = bad_records(now_ms, running.loop.definition.time.max_record_bytes)
    before = running.pids()
    outgoing = [record for bad_record in bad for record in (bad_record.record(), good(_after(bad_record.name), now_ms))]
    producer = KafkaBatchProducer(KafkaSettings.of(running.settings))
    unknown = good(UNKNOWN_FIELD, now_ms, gate="C12")
    producer.send([*outgoing, unknown, good(_after(NAMES[0]), now_ms), good("last", now_ms)])
    producer.close()
    assert_eventually(lambda: "last" in _ids(running), 120.0, "the last good event in the lake")
    dead_letters = {hashlib.sha256(record.value or b"").hexdigest(): record for record in running.topic(f"{TOPIC}.dlq")}
    by_name = {record.name: dead_letters[digest] for record in bad if (digest := _digest(record)) in dead_letters}
    rejected = LakeTable(running.settings.lake / running.loop.name / "rejected").read().to_pylist()
    return BadInputResult(
        {record.name: record for record in bad}, by_name, _ids(running), rejected, (before, running.pids())
    )


def _after(name: str) -> str:
    return f"after-{name}"


def _digest(bad: BadRecord) -> str:
    return hashlib.sha256(bad.value).hexdigest()


def _ids(running: RunningSystem) -> list[str]:
    rows = LakeTable(running.settings.lake / running.loop.name / "events" / TOPIC).read()
    return [value for value in rows.column("event_id").to_pylist() if value == "last" or value.startswith("after-")]


@pytest.mark.parametrize("name", NAMES)
def test_a_bad_record_becomes_a_dead_letter_with_reason_digest_and_original_bytes(
    result: BadInputResult, name: str
) -> None:
    bad, dead_letter = result.sent[name], result.dead_letters[name]
    assert dead_letter.header("dlq-reason") == bad.reason.encode()
    assert dead_letter.header("dlq-sha256") == _digest(bad).encode()
    assert (dead_letter.value, dead_letter.header("content-type")) == (bad.value, bad.content_type)
    assert (dead_letter.header("dlq-source") or b"").startswith(f"{TOPIC}/".encode())


def test_the_good_event_after_each_bad_one_is_accepted_once(result: BadInputResult) -> None:
    assert sorted(result.accepted) == sorted(["last", UNKNOWN_FIELD, *map(_after, NAMES)])


def test_a_repeated_event_is_a_duplicate_and_not_a_dead_letter(result: BadInputResult) -> None:
    twice = [row["event_id"] for row in result.rejected if row["reason"] == "duplicate"]
    assert twice == [_after(NAMES[0])]
    assert len(result.dead_letters) == len(NAMES)


def test_bad_records_end_no_process(result: BadInputResult) -> None:
    before, after = result.pids
    assert all(before.values())
    assert before == after


@pytest.mark.usefixtures("result")
def test_counts_of_accepted_dead_lettered_and_duplicates_match_the_raw_topics(running: RunningSystem) -> None:
    checks = ingestion_checks(running.settings, running.loop)
    assert [check for check in checks if check.unequal] == []
    compared = {check.name: check.compared for check in checks}
    before = running.report["ingestion"]["dead_lettered"]
    assert (compared["dead letters"], compared["duplicates"]) == (before + len(NAMES), 1)


@pytest.mark.usefixtures("result")
def test_a_header_name_that_is_not_utf8_makes_a_dead_letter_and_ends_no_process(
    running: RunningSystem, monkeypatch: pytest.MonkeyPatch
) -> None:
    before, now_ms = running.pids(), running.watermark_ms + 1000
    odd, plain = (json.dumps(event(name, now_ms)).encode() for name in ("after-nothing", "after-an-odd-header"))
    records = (odd, [header_names.ODD_HEADER]), (plain, [("content-type", JSON)])
    asyncio.run(header_names.send(monkeypatch, running.settings.kafka_bootstrap, TOPIC, *records))
    assert_eventually(lambda: "after-an-odd-header" in _ids(running), 120.0, "the event after the odd header")
    [letter] = [record for record in running.topic(f"{TOPIC}.dlq") if record.value == odd]
    assert letter.header("dlq-reason") == b"malformed-header"
    assert "after-nothing" not in _ids(running)
    assert running.pids() == before


def test_an_undeclared_topic_is_refused_by_the_broker_and_by_our_producer(running: RunningSystem) -> None:
    failed: list[KafkaError | None] = []
    plain = Producer({"bootstrap.servers": running.settings.kafka_bootstrap, "topic.metadata.propagation.max.ms": 500})
    plain.produce(UNDECLARED, b"{}", on_delivery=lambda error, _: failed.append(error))
    plain.flush(60.0)
    assert [error.code() for error in failed if error] == [KafkaError.UNKNOWN_TOPIC_OR_PART]
    producer = KafkaBatchProducer(KafkaSettings.of(running.settings))
    with pytest.raises(UndeclaredTopic, match=UNDECLARED):
        producer.send([Outgoing(UNDECLARED, b"{}", None)])
    producer.close()
    assert UNDECLARED not in plain.list_topics(timeout=30.0).topics


def _retyped(shape: list[int], datatype: str, values: Any) -> Change:
    def change(tensor: triton.InferInput) -> triton.InferInput:
        other = triton.InferInput(tensor.name(), shape, datatype)
        other.set_data_from_numpy(values)
        return other

    return change


@pytest.mark.parametrize(
    ("name", "model", "tensor", "change", "status", "says"),
    [
        ("wrong-shape", "flights", "seats", _retyped([1, 2], "FP64", np.zeros((1, 2))), "INVALID_ARGUMENT", "shape"),
        ("wrong-dtype", "flights", "seats", _retyped([1, 1], "INT32", np.zeros((1, 1), np.int32)),
         "INVALID_ARGUMENT", "FP64"),
        ("missing-input", "flights", "seats", lambda _: None, "INVALID_ARGUMENT", "expected 13 inputs but got 12"),
        ("unknown-model", "fligths", "seats", lambda tensor: tensor, "NOT_FOUND", "unknown model"),
    ],
)  # fmt: skip
def test_a_bad_request_is_refused_with_a_reason_and_the_next_good_one_is_answered(
    running: RunningSystem, name: str, model: str, tensor: str, change: Change, status: str, says: str
) -> None:
    row = running.requests.slice(0, 1)
    with running.client() as client:
        inputs = running.tensors(client, row)
        changed = [change(infer_input) if infer_input.name() == tensor else infer_input for infer_input in inputs]
        with pytest.raises(InferenceServerException) as refused:
            infer(
                running.settings,
                client,
                model,
                [infer_input for infer_input in changed if infer_input is not None],
                f"bad-{name}",
            )
        assert refused.value.status() == f"StatusCode.{status}"
        assert says in str(refused.value.message())
        answer = infer(running.settings, client, running.loop.name, inputs, f"good-after-{name}")
    assert 0.0 < float(answer.as_numpy("score")[0, 0]) < 1.0


@pytest.mark.parametrize(
    ("request_id", "parameters", "decided_ms", "says"),
    [
        ("x" * 2_700_000, {}, END_MS, "it has 2700000 characters; use at most 128"),
        ("caf\u00e9", {}, END_MS, "not printable ASCII"),
        ("probe", {MARKER: PROBE}, END_MS, "a probe needs this system's secret"),
        ("probe", {MARKER: PROBE, SECRET: "a guess"}, END_MS, "a probe needs this system's secret"),
        ("typed", {MARKER: 5}, END_MS, "the only value is 'probe'"),
        ("seconds", {}, END_MS // 1000, "looks like seconds"),
        ("nanoseconds", {}, END_MS * 10**6, "looks like nanoseconds"),
        ("far", {}, 4_102_444_800_000, "more than max_advance"),
    ],
)
def test_a_bad_id_parameter_or_time_is_refused_and_nothing_of_it_is_logged(
    running: RunningSystem, request_id: str, parameters: dict[str, Any], decided_ms: int, says: str
) -> None:
    rows = running.requests.slice(0, 2)
    times = pa.array([END_MS, decided_ms], pa.int64())
    rows = rows.set_column(rows.schema.get_field_index("decision_time_ms"), "decision_time_ms", times)
    model = running.loop.name
    with running.client() as client:
        inputs = running.tensors(client, rows)
        with pytest.raises(InferenceServerException) as refused:
            client.infer(model, inputs, request_id=request_id, parameters=parameters, client_timeout=60.0)
        assert refused.value.status() == "StatusCode.INVALID_ARGUMENT"
        assert says in str(refused.value.message())
        name = f"after-bad-{len(request_id)}-{decided_ms}"
        infer(running.settings, client, model, running.tensors(client, running.requests.slice(0, 1)), name)
    assert_eventually(lambda: _logged(running, name), 60.0, "the next request in the log")
    log = running.predictions()
    assert not any(logged.startswith((f"{request_id}.", f"{request_id}/")) for logged in log.id)


def test_an_unknown_key_is_answered_with_missing_features(running: RunningSystem) -> None:
    row = running.requests.slice(0, 1).to_pylist()[0] | {"flight_id": "unheard-of", "carrier": "ZZ", "tailnum": "N0"}
    with running.client() as client:
        answer = infer(
            running.settings,
            client,
            running.loop.name,
            running.tensors(client, pa.Table.from_pylist([row])),
            "unknown-key",
        )
    assert np.isfinite(answer.as_numpy("score")).all()
    log = assert_eventually(lambda: _logged(running, "unknown-key"), 60.0, "the prediction in the log")
    views = [column.view for column in running.bundle().manifest.numeric]
    missing = {view for view, value in zip(views, log, strict=True) if view and np.isnan(value)}
    known = {view for view, value in zip(views, log, strict=True) if view and not np.isnan(value)}
    assert {"flights_carrier_departed", "flights_tailnum_arrived", "flights_origin_carrier_arrived"} <= missing
    assert {"flights_network_departed", "flights_origin_arrived", "flights_route_departed"} <= known


def test_calls_with_one_constant_id_are_predictions_of_their_own(running: RunningSystem) -> None:
    asked = running.requests.slice(0, 40).to_pylist()
    rows = [row | {"flight_id": f"constant-{number}"} for number, row in enumerate(asked)]
    with running.client() as client:
        for row in (*rows, rows[0]):
            inputs = running.tensors(client, pa.Table.from_pylist([row], running.requests.schema))
            client.infer(running.loop.name, inputs, request_id="constant", client_timeout=60.0)
        last = running.tensors(client, running.requests.slice(0, 1))
        infer(running.settings, client, running.loop.name, last, "after-constant")
    assert_eventually(lambda: _logged(running, "after-constant"), 60.0, "the last request in the log")
    log = running.predictions()
    names = {name for name in log.id.tolist() if name.startswith("constant.")}
    assert len(names) == len(rows), "each key has its own prediction, and the retry has that of its question"


def _logged(running: RunningSystem, prediction_id: str) -> list[float]:
    log = running.predictions()
    values: list[float] = log.take(log.id == prediction_id).numeric.ravel().tolist()
    return values


def test_bad_requests_end_no_process(running: RunningSystem) -> None:
    status = json.loads(running.line.run("status", "--json").stdout)
    assert all(part["ready"] for part in status["parts"])
    log = (running.settings.home / "logs" / "supervisor.log").read_text()
    assert log.count("triton started") == 1
