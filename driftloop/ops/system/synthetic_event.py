"""Generates an event that a loop's rules accept, from the message and the rules alone. Pure."""

from __future__ import annotations

import math
from typing import Any

from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import Message

from driftloop.loop.definition import EventDefinition, FieldRule

TIME_MS = 946_684_800_000
"""Event time of every synthetic event: 2000-01-01, UTC."""
_TEXT = "probe"
_NUMBER = 1
_NO_RULE = FieldRule()
_INTEGERS = {
    FieldDescriptor.CPPTYPE_INT32: (-(2**31), 2**31 - 1),
    FieldDescriptor.CPPTYPE_UINT32: (0, 2**32 - 1),
    FieldDescriptor.CPPTYPE_INT64: (-(2**63), 2**63 - 1),
    FieldDescriptor.CPPTYPE_UINT64: (0, 2**64 - 1),
}
"""Range of each integer type."""
_FLOATING = (FieldDescriptor.CPPTYPE_DOUBLE, FieldDescriptor.CPPTYPE_FLOAT)


def synthetic_event(event: EventDefinition, message: type[Message]) -> Message:
    """Return an event with a value in every field that has a column.

    If rules contradict each other, no value satisfies them: ingestion then refuses the event and says why.
    """
    fields: list[FieldDescriptor] = list(message.DESCRIPTOR.fields)
    values = {field.name: _value(event, field) for field in fields if not field.is_repeated}
    return message(**{name: value for name, value in values.items() if value is not None})


def _value(event: EventDefinition, field: FieldDescriptor) -> Any:
    rule = event.rules.get(field.name, _NO_RULE)
    usual = TIME_MS if field.name == event.time else _NUMBER
    if field.type == FieldDescriptor.TYPE_STRING:
        return _text(rule)
    if field.cpp_type == FieldDescriptor.CPPTYPE_BOOL:
        return True
    if field.cpp_type in _INTEGERS:
        return _integer(rule, usual, *_INTEGERS[field.cpp_type])
    return _number(rule, usual) if field.cpp_type in _FLOATING else None


def _text(rule: FieldRule) -> str:
    """Return the first listed string that is not too long; if none is listed, a word cut to fit."""
    longest = rule.max_length
    candidates = (text for text in rule.enum or () if text and (longest is None or len(text) <= longest))
    return next(candidates, _TEXT[:longest])


def _number(rule: FieldRule, usual: float) -> float:
    """Return the usual number if the rule allows it; else the middle, or one more or less than the only bound."""
    low, high = _bounds(rule)
    if low <= usual <= high:
        return usual
    if math.isfinite(low) and math.isfinite(high):
        return low / 2 + high / 2
    return low + 1 if usual < low else high - 1


def _integer(rule: FieldRule, usual: int, least: int, greatest: int) -> int:
    """Return an integer that the rule allows and the type can represent."""
    low, high = _bounds(rule)
    number = _number(rule, usual)
    below = math.floor(number)
    chosen = below if low <= below <= high else math.ceil(number)
    return min(max(chosen, least), greatest)


def _bounds(rule: FieldRule) -> tuple[float, float]:
    """Return the smallest and the largest value; infinite and NaN bounds are ignored."""
    low = rule.min if rule.min is not None and math.isfinite(rule.min) else -math.inf
    high = rule.max if rule.max is not None and math.isfinite(rule.max) else math.inf
    return low, high
