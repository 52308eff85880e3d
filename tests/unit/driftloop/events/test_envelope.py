from __future__ import annotations

import contextlib
import dataclasses
import types
from typing import Any

import pytest
from google.protobuf.message import Message
from hypothesis import given
from hypothesis import strategies as st

from driftloop.bus.ports import Record
from driftloop.contracts import monitoring_pb2 as monitoring
from driftloop.contracts import training_pb2 as training
from driftloop.events.envelope import (
    Draft,
    Envelope,
    from_draft,
    from_record,
    from_row,
    headers_of,
    parse_rfc3339,
    rfc3339,
    to_record,
    to_row,
)
from driftloop.process.errors import InvalidEvent

DRIFT = monitoring.DriftDetected(loop="orders", detector="returns", evidence_ids=["e1", "e2"])
MESSAGES: list[type[Message]] = [monitoring.WindowClosed, monitoring.DriftDetected]
NAMES = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), min_size=1, max_size=40)
TRACE = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


def _event(**changed: Any) -> Envelope[Message]:
    draft = Draft("the id", "orders", 1_700_000_000_123, DRIFT)
    event = from_draft(draft, source="monitoring", wall_time_ms=1_700_000_100_456, cause=None, traceparent=TRACE)
    return dataclasses.replace(event, **changed)


def _record(event: Envelope[Message], **changed: Any) -> Record:
    out = to_record(event)
    return dataclasses.replace(Record(out.topic, 0, 0, out.key, out.value, out.headers), **changed)


def _with_header(name: str, value: bytes | None) -> Record:
    record = _record(_event())
    kept = tuple(each for each in record.headers if each[0] != name)
    return dataclasses.replace(record, headers=kept if value is None else (*kept, (name, value)))


@given(
    time_ms=st.integers(0, 4_000_000_000_000),
    wall_ms=st.integers(0, 4_000_000_000_000),
    identity=NAMES,
    chain=NAMES,
    cause=st.none() | NAMES,
)
def test_an_event_equals_what_is_read_from_its_record_and_its_row(
    time_ms: int, wall_ms: int, identity: str, chain: str, cause: str | None
) -> None:
    event = _event(id=identity, time_ms=time_ms, wall_time_ms=wall_ms, correlation_id=chain, causation_id=cause)
    assert from_record(_record(event), MESSAGES) == event
    assert from_row(types.SimpleNamespace(**to_row(event)), event.data) == event


def test_a_record_is_for_the_topic_of_its_message_with_the_loop_as_key() -> None:
    record = to_record(_event())
    assert (record.topic, record.key) == ("monitoring.drift-detected.v1", b"orders")
    assert to_record(_event(), "a key").key == b"a key"


def test_headers_are_cloudevents_in_kafka_binary_mode() -> None:
    assert dict(headers_of(_event())) == {
        "ce_specversion": b"1.0",
        "ce_id": b"the id",
        "ce_source": b"/driftloop/monitoring",
        "ce_type": b"driftloop.monitoring.v1.DriftDetected",
        "ce_time": b"2023-11-14T22:13:20.123Z",
        "ce_loop": b"orders",
        "ce_walltime": b"2023-11-14T22:15:00.456Z",
        "ce_correlationid": b"the id",
        "traceparent": TRACE.encode(),
        "content-type": b"application/protobuf",
    }


def test_an_event_in_the_same_chain_inherits_cause_chain_and_trace() -> None:
    first = _event()
    draft = Draft("second", "orders", 5, training.ReasonCoalesced(loop="orders"))
    second = from_draft(draft, source="training", wall_time_ms=1, cause=first, traceparent=None)
    assert (second.correlation_id, second.causation_id) == ("the id", "the id")
    assert (second.traceparent, second.source) == (TRACE, "/driftloop/training")
    own = from_draft(
        dataclasses.replace(draft, chain="the id"), source="x", wall_time_ms=1, cause=first, traceparent=None
    )
    assert (own.correlation_id, own.causation_id) == ("the id", "the id")


def test_an_event_in_another_chain_has_only_an_explicit_cause() -> None:
    draft = Draft("second", "orders", 5, training.ReasonCoalesced(loop="orders"), chain="other")
    unnamed = from_draft(draft, source="x", wall_time_ms=1, cause=_event(), traceparent="t")
    assert (unnamed.correlation_id, unnamed.causation_id, unnamed.traceparent) == ("other", None, "t")
    named = dataclasses.replace(draft, cause_id="an older event")
    event = from_draft(named, source="x", wall_time_ms=1, cause=_event(), traceparent=None)
    assert (event.correlation_id, event.causation_id) == ("other", "an older event")


@pytest.mark.parametrize("name", ["ce_id", "ce_source", "ce_type", "ce_time", "ce_loop", "ce_correlationid"])
@pytest.mark.parametrize("value", [None, b""])
def test_an_event_without_an_attribute_is_invalid(name: str, value: bytes | None) -> None:
    with pytest.raises(InvalidEvent, match=name) as refused:
        from_record(_with_header(name, value), MESSAGES)
    assert refused.value.reason == "missing-header"


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("ce_time", b"yesterday"),
        ("ce_time", b"2023-11-14T22:13:20"),  # in no zone
        ("ce_walltime", b"soon"),
        ("ce_id", b"\xff"),
        ("traceparent", b"\xff"),
        ("ce_loop", b"flowers"),
    ],
)
def test_an_attribute_that_cannot_be_read_makes_an_event_invalid(name: str, value: bytes) -> None:
    with pytest.raises(InvalidEvent) as refused:
        from_record(_with_header(name, value), MESSAGES)
    assert refused.value.reason == "malformed-header"


@pytest.mark.parametrize("name", ["ce_walltime", "traceparent", "content-type", "ce_specversion"])
def test_the_other_attributes_may_be_missing(name: str) -> None:
    assert from_record(_with_header(name, None), MESSAGES).data == DRIFT


def _with_former_names(record: Record) -> Record:
    """The record as versions before the prefix wrote it."""
    former = {"ce_correlationid": "correlationid", "ce_causationid": "causationid"}
    return dataclasses.replace(record, headers=tuple((former.get(name, name), value) for name, value in record.headers))


@pytest.mark.parametrize("cause", [None, "an older event"])
def test_a_record_with_the_former_header_names_is_read(cause: str | None) -> None:
    event = _event(causation_id=cause)
    record = _with_former_names(_record(event))
    assert "correlationid" in dict(record.headers)
    assert from_record(record, MESSAGES) == event


def test_a_log_with_former_and_present_header_names_is_read() -> None:
    events = [_event(id=f"e{number}", correlation_id="chain", causation_id=f"e{number - 1}") for number in range(4)]
    records = [_record(event) for event in events]
    log = [_with_former_names(record) for record in records[:2]] + records[2:]
    assert [from_record(record, MESSAGES) for record in log] == events


def test_the_present_header_name_wins_over_the_former_one() -> None:
    record = _record(_event())
    for headers in ((*record.headers, ("correlationid", b"other")), (("correlationid", b"other"), *record.headers)):
        assert from_record(dataclasses.replace(record, headers=headers), MESSAGES).correlation_id == "the id"


def test_other_headers_are_ignored() -> None:
    assert from_record(_with_header("x-theirs", b"\xff"), MESSAGES) == _event()


def test_a_message_that_its_topic_does_not_declare_is_invalid() -> None:
    with pytest.raises(
        InvalidEvent, match=r"DriftDetected is not declared for monitoring\.drift-detected\.v1"
    ) as refused:
        from_record(_record(_event()), [monitoring.WindowClosed])
    assert refused.value.reason == "unknown-type"


@pytest.mark.parametrize("value", [b"\xff\xff\xff\xff", b"\x0a\x02\xff\xfe", b"\x0a\x7forders"])
def test_bytes_that_are_not_the_message_are_invalid(value: bytes) -> None:
    with pytest.raises(InvalidEvent) as refused:
        from_record(_record(_event(), value=value), MESSAGES)
    assert refused.value.reason == "malformed-message"


@pytest.mark.parametrize("value", [b"", None])
def test_an_empty_record_is_invalid(value: bytes | None) -> None:
    with pytest.raises(InvalidEvent):
        from_record(_record(_event(), value=value), MESSAGES)


@given(st.binary(max_size=200), st.lists(st.tuples(st.text(max_size=12), st.binary(max_size=12)), max_size=8))
def test_any_record_is_read_or_invalid(value: bytes, headers: list[tuple[str, bytes]]) -> None:
    record = _record(_event(), value=value)
    for each in (record, dataclasses.replace(record, headers=tuple(headers))):
        with contextlib.suppress(InvalidEvent):
            from_record(each, MESSAGES)


@given(st.integers(0, 253_402_300_799_999))
def test_times_keep_their_milliseconds(time_ms: int) -> None:
    assert parse_rfc3339(rfc3339(time_ms)) == time_ms


def test_times_of_other_zones_are_converted() -> None:
    assert parse_rfc3339("2023-11-14T23:13:20.123+01:00") == parse_rfc3339("2023-11-14T22:13:20.123Z")
