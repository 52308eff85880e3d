"""Envelope of every driftloop event: CloudEvents 1.0 attributes as Kafka headers, binary mode.

``ce_time`` is event time. ``ce_walltime`` is wall time; no decision uses it. ``ce_correlationid`` is the id of the
event's chain, ``ce_causationid`` the id of the event that caused it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Generic, TypeVar

from google.protobuf.message import DecodeError, Message

from driftloop.bus.ports import Outgoing, Record
from driftloop.bus.unreadable import unreadable
from driftloop.contracts.topics import topic_of
from driftloop.events.message_check import check_message, check_time, name_problem
from driftloop.process.errors import InvalidEvent
from driftloop.process.limits import END_OF_TIME_MS

M = TypeVar("M", bound=Message)

CONTENT_TYPE = "application/protobuf"
SPEC_VERSION = "1.0"
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_FIRST_MS, _LAST_MS = -62_135_596_800_000, END_OF_TIME_MS - 1
_REQUIRED = ("ce_id", "ce_source", "ce_type", "ce_time", "ce_loop", "ce_correlationid")
_ATTRIBUTES = frozenset({*_REQUIRED, "ce_walltime", "ce_causationid", "traceparent"})
_COLUMNS = ("source", "loop", "time_ms", "wall_time_ms", "correlation_id", "causation_id", "traceparent")
_FORMER_NAMES = {"correlationid": "ce_correlationid", "causationid": "ce_causationid"}
"""Headers that earlier versions wrote without the prefix. Logs and outboxes still contain them."""


@dataclass(frozen=True, slots=True)
class Draft:
    """An event that a handler sends. The runner adds source, wall time, trace and chain."""

    id: str
    loop: str
    time_ms: int
    data: Message
    key: str | None = None
    """Record key. Default: the loop's name."""
    chain: str | None = None
    """Correlation id. Default: that of the handled event."""
    cause_id: str | None = None
    """Causation id. Default: the handled event's id if both are of one chain, otherwise none."""


@dataclass(frozen=True, slots=True)
class Envelope(Generic[M]):
    """An event with its attributes. ``time_ms`` and ``wall_time_ms`` are UTC milliseconds since the epoch."""

    id: str
    source: str
    type: str
    loop: str
    time_ms: int
    wall_time_ms: int
    correlation_id: str
    causation_id: str | None
    traceparent: str | None
    data: M


def rfc3339(time_ms: int) -> str:
    """Format milliseconds since the epoch as RFC 3339 in UTC. Times outside the years 1 to 9999 become the nearest."""
    moment = _EPOCH + timedelta(milliseconds=min(max(time_ms, _FIRST_MS), _LAST_MS))
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def parse_rfc3339(text: str) -> int:
    """Return an RFC 3339 time in milliseconds since the epoch.

    Raises:
        ValueError: the text is not a timestamp with a time zone.
    """
    moment = datetime.fromisoformat(text.replace("Z", "+00:00"))
    if moment.tzinfo is None:
        raise ValueError(f"{text!r} has no time zone; add Z or an offset such as +02:00")
    try:
        return (moment - _EPOCH) // timedelta(milliseconds=1)
    except OverflowError as error:
        raise ValueError(f"{text!r} is outside the years 1 to 9999 in UTC") from error


def from_draft(
    draft: Draft, *, source: str, wall_time_ms: int, cause: Envelope[Message] | None, traceparent: str | None
) -> Envelope[Message]:
    """Complete a draft. A draft without a cause starts a chain, which has the draft's id."""
    chain = draft.chain or (cause.correlation_id if cause is not None else draft.id)
    handled = cause.id if cause is not None and cause.correlation_id == chain else None
    return Envelope(
        id=draft.id,
        source=f"/driftloop/{source}",
        type=draft.data.DESCRIPTOR.full_name,
        loop=draft.loop,
        time_ms=draft.time_ms,
        wall_time_ms=wall_time_ms,
        correlation_id=chain,
        causation_id=draft.cause_id or handled,
        traceparent=traceparent or (cause.traceparent if cause is not None else None),
        data=draft.data,
    )


def headers_of(event: Envelope[Message]) -> tuple[tuple[str, bytes], ...]:
    """Return an event's attributes as Kafka headers (CloudEvents Kafka protocol binding 1.0, section 3.2.3).

    Every attribute has the prefix ``ce_``, extensions included. Two headers are not attributes: the binding maps
    ``datacontenttype`` to ``content-type``, and ``traceparent`` is the transport's own header of W3C Trace Context,
    which tracing tools read under that name.
    """
    attributes = {
        "ce_specversion": SPEC_VERSION,
        "ce_id": event.id,
        "ce_source": event.source,
        "ce_type": event.type,
        "ce_time": rfc3339(event.time_ms),
        "ce_loop": event.loop,
        "ce_walltime": rfc3339(event.wall_time_ms),
        "ce_correlationid": event.correlation_id,
        "ce_causationid": event.causation_id,
        "traceparent": event.traceparent,
        "content-type": CONTENT_TYPE,
    }
    return tuple((name, value.encode()) for name, value in attributes.items() if value)


def to_record(event: Envelope[Message], key: str | None = None) -> Outgoing:
    """Return the record of an event, for the topic that declares its message."""
    return Outgoing(
        topic=topic_of(type(event.data)).name,
        key=(key or event.loop).encode(),
        value=event.data.SerializeToString(deterministic=True),
        headers=headers_of(event),
    )


def from_record(record: Record, messages: Sequence[type[Message]]) -> Envelope[Message]:
    """Read an event.

    Raises:
        InvalidEvent: the client library could not read the record, an attribute is missing or malformed, the type is
            not one of ``messages``, the bytes are not that message, or it has a value that no consumer can use
            (`check_message`).
    """
    if (unread := unreadable(record)) is not None:
        raise InvalidEvent(*unread)
    former = {_FORMER_NAMES[name]: value for name, value in record.headers if name in _FORMER_NAMES}
    headers = former | dict(record.headers)
    missing = [name for name in _REQUIRED if not headers.get(name)]
    if missing:
        raise InvalidEvent("missing-header", f"a record of {record.topic} needs the headers {', '.join(missing)}")
    try:
        text = {name: value.decode() for name, value in headers.items() if name in _ATTRIBUTES}
        time_ms = parse_rfc3339(text["ce_time"])
        wall_time_ms = parse_rfc3339(text.get("ce_walltime", text["ce_time"]))
    except ValueError as error:
        raise InvalidEvent("malformed-header", str(error)) from error
    for name, value in text.items():
        if problem := name_problem(value):
            raise InvalidEvent("malformed-header", f"{name}: {problem}")
    check_time(time_ms, "ce_time")
    check_time(wall_time_ms, "ce_walltime")
    data = _message(record, text["ce_type"], messages)
    loop: str = data.loop  # type: ignore[attr-defined]  # a contract test checks that every message has it
    if loop != text["ce_loop"]:
        raise InvalidEvent("malformed-header", f"ce_loop is {text['ce_loop']!r}, but the message's loop is {loop!r}")
    check_message(data)
    return Envelope(
        id=text["ce_id"],
        source=text["ce_source"],
        type=text["ce_type"],
        loop=text["ce_loop"],
        time_ms=time_ms,
        wall_time_ms=wall_time_ms,
        correlation_id=text["ce_correlationid"],
        causation_id=text.get("ce_causationid"),
        traceparent=text.get("traceparent"),
        data=data,
    )


def to_row(event: Envelope[Any]) -> dict[str, Any]:
    """Return the attributes of an event as columns of a SQL row; its id is in ``event_id``."""
    return {"event_id": event.id} | {name: getattr(event, name) for name in _COLUMNS}


def from_row(row: Any, data: M) -> Envelope[M]:
    """Return the event of a SQL row with the columns of `to_row`."""
    attributes = {name: getattr(row, name) for name in _COLUMNS}
    return Envelope(id=row.event_id, type=data.DESCRIPTOR.full_name, data=data, **attributes)


def _message(record: Record, type_name: str, messages: Sequence[type[Message]]) -> Message:
    message = next((message for message in messages if message.DESCRIPTOR.full_name == type_name), None)
    if message is None:
        raise InvalidEvent("unknown-type", f"{type_name} is not declared for {record.topic}")
    try:
        return message.FromString(record.value or b"")
    except DecodeError as error:
        raise InvalidEvent("malformed-message", str(error)) from error
