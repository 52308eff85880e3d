from __future__ import annotations

from typing import Any

import pytest
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
from google.protobuf.message import Message

from driftloop.loop.definition import EventDefinition
from driftloop.ops.system.synthetic_event import TIME_MS, synthetic_event

_KINDS = descriptor_pb2.FieldDescriptorProto
FIELDS = {
    "id": _KINDS.TYPE_STRING,
    "at_ms": _KINDS.TYPE_INT64,
    "text": _KINDS.TYPE_STRING,
    "real": _KINDS.TYPE_DOUBLE,
    "single": _KINDS.TYPE_FLOAT,
    "small": _KINDS.TYPE_INT32,
    "natural": _KINDS.TYPE_UINT32,
    "large": _KINDS.TYPE_INT64,
    "flag": _KINDS.TYPE_BOOL,
    "bytes": _KINDS.TYPE_BYTES,
}


def _message() -> type[Message]:
    file = descriptor_pb2.FileDescriptorProto(name="s/v1/s.proto", package="s.v1", syntax="proto3")
    message = file.message_type.add(name="Seen")
    for number, (name, kind) in enumerate(FIELDS.items(), start=1):
        message.field.add(name=name, number=number, type=kind, label=_KINDS.LABEL_OPTIONAL)
    message.field.add(name="many", number=50, type=_KINDS.TYPE_INT64, label=_KINDS.LABEL_REPEATED)
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return message_factory.GetMessageClass(pool.FindMessageTypeByName("s.v1.Seen"))


def make_event(**rules: dict[str, Any]) -> Any:
    event = {"message": "s.v1.Seen", "id": "id", "key": "text", "time": "at_ms", "rules": rules}
    return synthetic_event(EventDefinition.model_validate(event), _message())


def test_every_field_that_can_have_a_column_has_a_value() -> None:
    event = make_event()
    assert {field.name for field, _ in event.ListFields()} == FIELDS.keys() - {"bytes"}
    assert (event.text, event.real, event.large, event.flag, event.at_ms) == ("probe", 1.0, 1, True, TIME_MS)


@pytest.mark.parametrize(
    ("rule", "text"),
    [
        ({"enum": ["north", "south"]}, "north"),
        ({"enum": ["northern", "south"], "max_length": 5}, "south"),
        ({"max_length": 3}, "pro"),
        ({"max_length": 64, "required": True}, "probe"),
        ({"enum": ["", "south"], "required": True}, "south"),
    ],
)
def test_a_text_is_one_of_those_listed_and_not_too_long(rule: dict[str, Any], text: str) -> None:
    assert make_event(text=rule).text == text


BOUNDS = [
    (0, None),
    (5, None),
    (None, 0),
    (None, -3.5),
    (2.5, 3.5),
    (2.7, 3.2),
    (-10, 0),
    (0.5, 1.5),
    (7, 7),
    (None, 1e15),
    (2, 1e9),
]


NUMBERS = [(name, bounds) for name in ("real", "single", "small", "natural", "large") for bounds in BOUNDS]
NUMBERS.remove(("natural", (None, -3.5)))


@pytest.mark.parametrize(("name", "bounds"), NUMBERS)
def test_a_number_lies_inside_its_bounds(name: str, bounds: tuple[float | None, float | None]) -> None:
    low, high = bounds
    value = getattr(make_event(**{name: {"min": low, "max": high}}), name)
    assert low is None or value >= low
    assert high is None or value <= high


@pytest.mark.parametrize(("low", "high"), [(3, 2), (0.2, 0.8), (1e300, None), (None, -1e300), (float("inf"), None)])
def test_bounds_that_leave_no_number_are_left_to_ingestion(low: float | None, high: float | None) -> None:
    for name in ("small", "natural", "large"):
        assert make_event(**{name: {"min": low, "max": high}})


def test_the_time_is_constant_unless_its_rule_differs() -> None:
    assert make_event(at_ms={"min": 0}).at_ms == TIME_MS
    assert make_event(at_ms={"min": TIME_MS + 100}).at_ms == TIME_MS + 101
