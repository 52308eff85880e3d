"""Bad input is rejected with the documented reason; accepted rows are kept, and no process ends."""

from __future__ import annotations

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
from driftloop.bus.ports import Outgoing, Record
from driftloop.featurestore.lake import Table
from driftloop.ops.checks.run import ingestion_checks
from driftloop.process.errors import UndeclaredTopic
from tests.e2e.running.bad_records import TOPIC, BadRecord, bad_records, good
from tests.e2e.running.system import Running, infer
from tests.helpers.eventually import assert_eventually

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(1200)]

NAMES = [each.name for each in bad_records(0, 1)]
UNDECLARED = "flights.landed"
Change = Callable[[triton.InferInput], triton.InferInput | None]


@dataclass(frozen=True)
class Answered:
    """The result of sending each bad record followed by a good one."""

    sent: dict[str, BadRecord]
    letters: dict[str, Record]
    """By name of the bad record."""
    accepted: list[str]
    """Ids of this test's rows in the lake, with repetitions."""
    rejected: list[dict[str, Any]]
    pids: tuple[dict[str, list[int]], dict[str, list[int]]]


@pytest.fixture(scope="module")
def answered(running: Running) -> Answered:
    """Send each bad record followed by a good one, the first good one twice, and wait for the last."""
    now_ms = running.watermark_ms + 1000
    bad = bad_records(now_ms, running.loop.definition.time.max_record_bytes)
    before = running.pids()
    outgoing = [record for each in bad for record in (each.record(), good(_after(each.name), now_ms))]
    producer = KafkaBatchProducer(running.settings.kafka_bootstrap)
    producer.send([*outgoing, good(_after(NAMES[0]), now_ms), good("last", now_ms)])
    producer.close()
    assert_eventually(lambda: "last" in _ids(running), 120.0, "the last good event in the lake")
    letters = {hashlib.sha256(each.value or b"").hexdigest(): each for each in running.topic(f"{TOPIC}.dlq")}
    found = {each.name: letters[digest] for each in bad if (digest := _digest(each)) in letters}
    rejected = Table(running.settings.lake / running.loop.name / "rejected").read().to_pylist()
    return Answered({each.name: each for each in bad}, found, _ids(running), rejected, (before, running.pids()))


def _after(name: str) -> str:
    return f"after-{name}"


def _digest(bad: BadRecord) -> str:
    return hashlib.sha256(bad.value).hexdigest()


def _ids(running: Running) -> list[str]:
    rows = Table(running.settings.lake / running.loop.name / "events" / TOPIC).read()
    return [each for each in rows.column("event_id").to_pylist() if each == "last" or each.startswith("after-")]


@pytest.mark.parametrize("name", NAMES)
def test_a_bad_record_is_a_dead_letter_with_reason_digest_and_the_bytes_that_came(
    answered: Answered, name: str
) -> None:
    bad, letter = answered.sent[name], answered.letters[name]
    assert letter.header("dlq-reason") == bad.reason.encode()
    assert letter.header("dlq-sha256") == _digest(bad).encode()
    assert (letter.value, letter.header("content-type")) == (bad.value, bad.content_type)
    assert (letter.header("dlq-source") or b"").startswith(f"{TOPIC}/".encode())


def test_the_good_event_behind_each_bad_one_is_accepted_once(answered: Answered) -> None:
    assert sorted(answered.accepted) == sorted(["last", *map(_after, NAMES)])


def test_an_event_that_comes_twice_is_counted_as_a_duplicate_and_is_no_dead_letter(answered: Answered) -> None:
    twice = [each["event_id"] for each in answered.rejected if each["reason"] == "duplicate"]
    assert twice == [_after(NAMES[0])]
    assert len(answered.letters) == len(NAMES)


def test_no_process_ended_over_them(answered: Answered) -> None:
    before, after = answered.pids
    assert all(before.values())
    assert before == after


@pytest.mark.usefixtures("answered")
def test_accepted_dead_lettered_and_duplicates_are_what_the_raw_topics_say(running: Running) -> None:
    checks = ingestion_checks(running.settings, running.loop)
    assert [each for each in checks if each.unequal] == []
    compared = {each.name: each.compared for each in checks}
    before = running.report["ingestion"]["dead_lettered"]
    assert (compared["dead letters"], compared["duplicates"]) == (before + len(NAMES), 1)


def test_an_undeclared_topic_is_refused_by_the_broker_and_by_our_producer(running: Running) -> None:
    failed: list[KafkaError | None] = []
    plain = Producer({"bootstrap.servers": running.settings.kafka_bootstrap, "topic.metadata.propagation.max.ms": 500})
    plain.produce(UNDECLARED, b"{}", on_delivery=lambda error, _: failed.append(error))
    plain.flush(60.0)
    assert [each.code() for each in failed if each] == [KafkaError.UNKNOWN_TOPIC_OR_PART]
    producer = KafkaBatchProducer(running.settings.kafka_bootstrap)
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
    running: Running, name: str, model: str, tensor: str, change: Change, status: str, says: str
) -> None:
    row = running.requests.slice(0, 1)
    with running.client() as client:
        inputs = running.tensors(client, row)
        changed = [change(each) if each.name() == tensor else each for each in inputs]
        with pytest.raises(InferenceServerException) as refused:
            infer(client, model, [each for each in changed if each is not None], f"bad-{name}")
        assert refused.value.status() == f"StatusCode.{status}"
        assert says in str(refused.value.message())
        answer = infer(client, running.loop.name, inputs, f"good-after-{name}")
    assert 0.0 < float(answer.as_numpy("score")[0, 0]) < 1.0


def test_a_key_that_nobody_knows_is_answered_with_its_features_missing(running: Running) -> None:
    row = running.requests.slice(0, 1).to_pylist()[0] | {"flight_id": "unheard-of", "carrier": "ZZ", "tailnum": "N0"}
    with running.client() as client:
        answer = infer(client, running.loop.name, running.tensors(client, pa.Table.from_pylist([row])), "unknown-key")
    assert np.isfinite(answer.as_numpy("score")).all()
    log = assert_eventually(lambda: _logged(running, "unknown-key"), 60.0, "the prediction in the log")
    views = [each.view for each in running.bundle().manifest.numeric]
    missing = {view for view, value in zip(views, log, strict=True) if view and np.isnan(value)}
    known = {view for view, value in zip(views, log, strict=True) if view and not np.isnan(value)}
    assert {"flights_carrier_departed", "flights_tailnum_arrived", "flights_origin_carrier_arrived"} <= missing
    assert {"flights_network_departed", "flights_origin_arrived", "flights_route_departed"} <= known


def _logged(running: Running, prediction_id: str) -> list[float]:
    log = running.predictions()
    found: list[float] = log.take(log.id == prediction_id).numeric.ravel().tolist()
    return found


def test_nothing_ended_over_bad_requests(running: Running) -> None:
    status = json.loads(running.line.run("status", "--json").stdout)
    assert all(part["ready"] for part in status["parts"])
    log = (running.settings.home / "logs" / "supervisor.log").read_text()
    assert log.count("triton started") == 1
