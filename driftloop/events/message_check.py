"""Checks the values of a message that no consumer can use, before any handler sees them."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import cache
from typing import Any

from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.protobuf.message import Message

from driftloop.process.errors import InvalidEvent
from driftloop.process.limits import END_OF_TIME_MS, LARGEST

REASON = "invalid-value"
FIRST_TIME_MS = -30_610_224_000_000
"""1000-01-01. A training window may begin before 1970."""
ID_LENGTH = 1000
"""Maximum length of an id or name. They are parts of keys in SQL, whose length PostgreSQL limits."""

_FLOATS = (FieldDescriptor.TYPE_DOUBLE, FieldDescriptor.TYPE_FLOAT)
_NAMES = ("loop", "name", "stage", "detector", "event_type", "view")
_MAY_BE_NAN = ("driftloop.predictions.v1.PredictionServed.numeric",)
"""NaN is a missing input."""
_Check = Callable[[Iterable[Any]], str]
"""Returns what is wrong with the values of a field; empty if nothing is."""


def check_message(message: Message) -> None:
    """Check all fields, in nested messages too.

    Raises:
        InvalidEvent: a number is not finite or larger than `LARGEST`, a time (``*_ms``) is outside the years 1000 to
            9999, an enum has a value without a name, a text has the character NUL, which PostgreSQL cannot store, or an
            id is longer than `ID_LENGTH`.
    """
    for name, values_of, check in _checks(message.DESCRIPTOR):
        if problem := check(values_of(message)):
            raise InvalidEvent(REASON, f"{message.DESCRIPTOR.full_name}.{name}: {problem}")


def check_time(time_ms: int, name: str) -> None:
    """Check an event's time.

    Raises:
        InvalidEvent: it is outside the years 1000 to 9999.
    """
    if problem := _check_times((time_ms,)):
        raise InvalidEvent(REASON, f"{name}: {problem}")


def name_problem(name: str) -> str:
    """Return why an id or name cannot be used; empty if it can."""
    return f"longer than {ID_LENGTH} characters" if len(name) > ID_LENGTH else _check_texts((name,))


@cache
def _checks(descriptor: Descriptor) -> list[tuple[str, Callable[[Any], Iterable[Any]], _Check]]:
    """Return name, values and check of each field that can have a wrong value. Descriptors are slow to read."""
    checks: list[tuple[str, Callable[[Any], Iterable[Any]], _Check]] = []
    for field in descriptor.fields:
        if field.message_type is not None and field.message_type.GetOptions().map_entry:
            parts = [(part.name, _check_of(part)) for part in field.message_type.fields]
            checks += [(f"{field.name}.{part}", _entries(field.name, part), check) for part, check in parts if check]
        elif check := _check_of(field):
            checks.append((field.name, _values(field), check))
    return checks


def _entries(name: str, part: str) -> Callable[[Any], Iterable[Any]]:
    """Return a function that returns the keys or the values of a map."""
    if part == "key":
        return lambda message: list(getattr(message, name))
    return lambda message: list(getattr(message, name).values())


def _values(field: FieldDescriptor) -> Callable[[Any], Iterable[Any]]:
    name = field.name
    if field.is_repeated:
        return lambda message: getattr(message, name)
    if field.message_type is not None:
        return lambda message: (getattr(message, name),) if message.HasField(name) else ()
    return lambda message: (getattr(message, name),)


def _check_of(field: FieldDescriptor) -> _Check | None:
    if field.type == FieldDescriptor.TYPE_MESSAGE:
        return _check_messages
    if field.type in _FLOATS:
        return None if field.full_name in _MAY_BE_NAN else _check_numbers
    if field.type == FieldDescriptor.TYPE_STRING:
        is_name = field.name in _NAMES or field.name.endswith(("_id", "_ids"))
        return _check_names if is_name else _check_texts
    if field.enum_type is not None:
        return _check_enum(frozenset(field.enum_type.values_by_number))
    return _check_times if field.name.endswith("_ms") else None


def _check_messages(messages: Iterable[Message]) -> str:
    for message in messages:
        check_message(message)
    return ""


def _check_numbers(numbers: Iterable[float]) -> str:
    for number in numbers:
        if not abs(number) <= LARGEST:  # also true of NaN
            return f"{number} is not finite, or larger than {LARGEST}"
    return ""


def _check_times(times_ms: Iterable[int]) -> str:
    for time_ms in times_ms:
        if not FIRST_TIME_MS <= time_ms < END_OF_TIME_MS:
            return f"{time_ms} is not milliseconds in the years 1000 to 9999"
    return ""


def _check_enum(known: frozenset[int]) -> _Check:
    def check(values: Iterable[int]) -> str:
        return next((f"{value} has no name" for value in values if value not in known), "")

    return check


def _check_texts(texts: Iterable[str]) -> str:
    for text in texts:
        if "\0" in text:
            return "the text has the character NUL"
    return ""


def _check_names(names: Iterable[str]) -> str:
    return next((problem for name in names if (problem := name_problem(name))), "")
