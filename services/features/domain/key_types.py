"""One type for each join key: in the events, in Feast, and in requests. Otherwise a key is found only in training."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from google.protobuf.descriptor import FieldDescriptor

from driftloop.loop.load import Loop
from services.features.domain.views import ViewSpec

_INTEGERS = (FieldDescriptor.CPPTYPE_INT32, FieldDescriptor.CPPTYPE_INT64, FieldDescriptor.CPPTYPE_UINT32)
_OTHERS = {
    FieldDescriptor.CPPTYPE_STRING: "string",
    FieldDescriptor.CPPTYPE_DOUBLE: "double",
    FieldDescriptor.CPPTYPE_FLOAT: "float",
    FieldDescriptor.CPPTYPE_BOOL: "bool",
}


def key_type_problems(loop: Loop, views: Iterable[ViewSpec]) -> Iterator[str]:
    """Return the join keys of views that have another type in a request or in training.

    `services.features.check` compares them with the columns that the view reads.
    """
    prediction = loop.definition.prediction
    for view in views:
        for key, kind in zip(view.feed.join_keys, view.key_kinds, strict=True):
            stored = f"{view.view} stores the join key {key} as {kind}"
            source = prediction.join_keys.get(key)
            if source is None:
                continue
            where = loop.line_of("prediction", "join_keys", key)
            sent = prediction.type_of(source.input) if source.input else "string"
            if sent != kind:
                yield f"{where}: {stored}, but a request has it as {sent}; use one type"
            declared = prediction.inputs.get(source.input or "")
            column = (declared.column if declared else None) or source.input
            trained = column_type(loop, prediction.source, column) if column else ""
            if trained not in ("", kind):
                yield f"{where}: {stored}, but training reads it from {column!r} of {prediction.source}, a {trained}"


def column_type(loop: Loop, event_type: str, column: str) -> str:
    """Return the type of an event's field: ``string``, ``int64`` for every integer, or another name.

    Empty for a column that is derived, whose type only DuckDB knows, or unknown.
    """
    message = loop.messages.get(event_type)
    if message is None or column in loop.definition.events[event_type].derive:
        return ""
    field = message.DESCRIPTOR.fields_by_name.get(column)
    if field is None:
        return ""
    return "int64" if field.cpp_type in _INTEGERS else _OTHERS.get(field.cpp_type, "another type")
