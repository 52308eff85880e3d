from __future__ import annotations

import hashlib

import pytest

from driftloop.bus.dead_letters import dead_letter, dead_letter_for_error
from driftloop.bus.ports import Record
from driftloop.bus.topic_plan import RETENTION
from driftloop.contracts.topics import declared
from driftloop.loop import load_loop
from driftloop.loop.topics import plan_topics
from driftloop.process.errors import InvalidEvent
from driftloop.process.settings import ROOT
from tests.helpers.bus import HEADERS

RECORD = Record("raw", 3, 17, b"key", b"\x00bytes", HEADERS)


def test_a_dead_letter_has_the_original_and_the_reason() -> None:
    letter = dead_letter(RECORD, consumer="ingestion", reason="invalid", detail="lines is 900", stack="Traceback")
    assert (letter.topic, letter.key, letter.value, letter.partition) == ("raw.dlq", b"key", b"\x00bytes", None)
    assert letter.headers[: len(HEADERS)] == HEADERS
    assert dict(letter.headers[len(HEADERS) :]) == {
        "dlq-consumer": b"ingestion",
        "dlq-reason": b"invalid",
        "dlq-detail": b"lines is 900",
        "dlq-stack": b"Traceback",
        "dlq-sha256": hashlib.sha256(b"\x00bytes").hexdigest().encode(),
        "dlq-source": b"raw/3/17",
    }


def test_a_record_without_a_value_has_the_digest_of_nothing() -> None:
    letter = dead_letter(Record("raw", 0, 0, None, None), consumer="c", reason="r")
    assert (letter.key, letter.value) == (None, None)
    assert dict(letter.headers)["dlq-sha256"] == hashlib.sha256(b"").hexdigest().encode()


def test_long_reasons_are_cut_at_their_least_useful_end() -> None:
    letter = dead_letter(RECORD, consumer="c", reason="r", detail="d" * 9_999, stack="a" * 9_999 + "the error")
    why = dict(letter.headers)
    assert len(why["dlq-detail"]) == 2_000
    assert len(why["dlq-stack"]) == 8_000
    assert why["dlq-stack"].endswith(b"the error")


@pytest.mark.parametrize(
    "record",
    [
        Record("t", 1, 2, b"k", b"x" * 7_900_000, (("ce_id", b"1"),)),
        Record("t", 1, 2, b"k" * 7_900_000, b"x", (("ce_id", b"1"),)),
        Record("t", 1, 2, b"k", b"x", (("ce_id", b"1" * 7_900_000),)),
        Record("t", 1, 2, None, None, (("n" * 7_900_000, b""),)),
    ],
)
def test_the_dead_letter_of_a_record_that_barely_fitted_its_topic_fits_too(record: Record) -> None:
    letter = dead_letter(record, consumer="c", reason="r", detail="d" * 5000, stack="s" * 9000)
    size = len(letter.value or b"") + len(letter.key or b"") + sum(len(n) + len(v) for n, v in letter.headers)
    assert size < 2_100_000
    headers = dict(letter.headers)
    assert headers["dlq-sha256"] == hashlib.sha256(record.value or b"").hexdigest().encode()
    assert headers["dlq-original-bytes"] == str(len(record.value or b"")).encode()


def test_the_dead_letter_of_an_error_holds_its_reason_detail_and_stack() -> None:
    try:
        raise InvalidEvent("malformed-rows", "no such column")
    except InvalidEvent as error:
        headers = dict(dead_letter_for_error(RECORD, error, "features").headers)
    assert (headers["dlq-consumer"], headers["dlq-reason"]) == (b"features", b"malformed-rows")
    assert headers["dlq-detail"] == b"no such column"
    assert b"test_dead_letters.py" in headers["dlq-stack"]


def test_a_dead_letter_that_was_copied_back_has_only_its_newest_reason() -> None:
    old = (("dlq-source", b"t/0/1"), ("dlq-reason", b"missing"), ("dlq-replay-offset", b"abc"), ("other", b"x"))
    letter = dead_letter(Record("t", 0, 9, None, b"v", old), consumer="ingestion", reason="out-of-range")
    headers = [name for name, _ in letter.headers]
    assert headers == ["other", "dlq-consumer", "dlq-reason", "dlq-sha256", "dlq-source"]
    assert dict(letter.headers)["dlq-source"] == b"t/0/9"


@pytest.mark.parametrize(("largest_record", "largest_batch"), [(262_144, 1_048_588), (3_000_000, 3_065_536)])
def test_a_raw_topic_takes_no_larger_batches_than_its_records_need(largest_record: int, largest_batch: int) -> None:
    loop = load_loop(ROOT / "tests" / "loops" / "orders").definition
    time = loop.time.model_copy(update={"max_record_bytes": largest_record})
    planned = {topic.name: topic for topic in plan_topics([loop.model_copy(update={"time": time})])}
    assert {planned[name].max_bytes for name in loop.events} == {largest_batch}


def test_every_topic_with_dead_letters_has_a_dlq_topic() -> None:
    loop = load_loop(ROOT / "tests" / "loops" / "orders").definition
    planned = {topic.name: topic for topic in plan_topics([loop])}
    wanted = [topic.name for topic in declared().values() if topic.dead_letters] + list(loop.events)
    letters = [planned[f"{name}.dlq"] for name in wanted]
    assert all(topic.alterable == RETENTION and topic.retention_ms == 30 * 86_400_000 for topic in letters)
    assert all(0 < topic.retention_bytes < 10**10 for topic in letters)
    assert len(planned) == len(declared()) + len(loop.events) + len(wanted) + 1  # the detectors' table
    assert planned["orders.placed"].partitions == 2
    assert planned["monitoring.window-closed.v1"].retention_ms == -1
    assert planned["predictions.served.v1"].retention_ms == 7 * 86_400_000
