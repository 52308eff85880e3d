"""Reads a span of a loop's past and checks it: ``python -m driftloop.ops.replay.check FOLDER START_MS END_MS``.

Prints the problems of ``source.py`` and ``requests.py`` as a JSON list.
"""

from __future__ import annotations

import contextlib
import json
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from driftloop.loop import Loop, load_loop
from driftloop.loop.code import defined_at, load_module, locate_errors
from driftloop.loop.definition import EventDefinition
from driftloop.loop.source_lines import SourceLines
from driftloop.loop.undefined_names import undefined_names
from driftloop.ops.replay.encode import events_of
from driftloop.process.errors import LoopDefinitionError

_ROWS = 100
"""Events of each type that are encoded."""
_TYPES = {"string": pa.string(), "int64": pa.int64(), "double": pa.float64()}


def check_past(loop: Loop, start_ms: int, end_ms: int) -> list[str]:
    """Return the problems of a loop's past and of its requests, as ``file:line: message``."""
    try:
        return list(_problems(loop, start_ms, end_ms))
    except LoopDefinitionError as error:
        return error.problems


def check_tables(loop: Loop, source: ModuleType, tables: Any) -> Iterator[str]:
    """Yield the problems of what `events` returned: its event types and their columns."""
    lines = SourceLines(source)
    where = _line(source, "events")
    if not isinstance(tables, Mapping):
        yield f"{where}: events returns {type(tables).__name__}; return a table for each event type"
        return
    for name, table in tables.items():
        event = loop.definition.events.get(name)
        if event is None:
            yield f"{lines.of(None, name)}: events returns {name!r}, which `events` of loop.yaml does not declare"
        elif not isinstance(table, pa.Table):
            yield f"{where}: events returns {type(table).__name__} for {name}; return a pyarrow.Table"
        else:
            yield from _column_problems(lines, where, name, event, loop, table)


def _problems(loop: Loop, start_ms: int, end_ms: int) -> Iterator[str]:
    source = load_module(loop.folder, "source")
    yield from undefined_names(source)
    with locate_errors(loop.folder / "source.py", _line_number(source, "events")):
        tables = source.events(start_ms, end_ms)
    problems = list(check_tables(loop, source, tables))
    yield from problems
    if problems:
        return
    with locate_errors(loop.folder / "source.py", _line_number(source, "events")):
        for name, table in tables.items():
            definition, message = loop.definition.events[name], loop.messages[name]
            for wire in ("protobuf", "json"):
                events_of(name, definition, message, table.slice(0, _ROWS), wire).between(start_ms, end_ms)
    if (loop.folder / "requests.py").exists():
        yield from _request_problems(loop, tables)


def _column_problems(
    lines: SourceLines, where: str, name: str, event: EventDefinition, loop: Loop, table: pa.Table
) -> Iterator[str]:
    message = loop.messages[name].DESCRIPTOR
    fields = {field.name for field in message.fields}
    for column in table.column_names:
        if column not in fields:
            yield f"{lines.of(None, column)}: {name} has a column {column!r}, but {message.full_name} has no such field"
    for column in dict.fromkeys((event.id, event.key, event.time)):
        if column not in table.column_names:
            yield f"{where}: {name} has no column {column!r}, which loop.yaml names"
        elif table[column].null_count:
            yield f"{where}: {column!r} of {name} is null in {table[column].null_count} of {table.num_rows} rows"
    if event.time in table.column_names and not pa.types.is_integer(table[event.time].type):
        yield f"{where}: {event.time!r} of {name} is {table[event.time].type}; it must be integer milliseconds, UTC"


def _request_problems(loop: Loop, tables: Mapping[str, pa.Table]) -> Iterator[str]:
    module = load_module(loop.folder, "requests")
    yield from undefined_names(module)
    with locate_errors(loop.folder / "requests.py", _line_number(module, "requests")):
        requests = module.requests(tables)
    where, prediction = _line(module, "requests"), loop.definition.prediction
    if not isinstance(requests, pa.Table):
        yield f"{where}: requests returns {type(requests).__name__}; return a pyarrow.Table"
        return
    wanted: dict[str, pa.DataType | None] = {prediction.key: None}
    wanted |= {name: _TYPES[declared.type] for name, declared in prediction.inputs.items()}
    if prediction.clock == "request":
        wanted["decision_time_ms"] = pa.int64()
    for name, kind in wanted.items():
        if name not in requests.column_names:
            yield f"{where}: requests returns no column {name!r}, which `prediction` of loop.yaml needs"
        elif kind is not None and (text := _misfit(requests[name], kind)):
            yield f"{where}: {name!r} of requests {text}"


def _misfit(column: pa.ChunkedArray, kind: pa.DataType) -> str:
    """Return why a column cannot be sent as the input's type; empty if it can."""
    if column.null_count and kind != pa.string():
        missing = "NaN is a missing number" if kind == pa.float64() else "an int64 cannot be missing"
        return f"is null in {column.null_count} of {len(column)} rows; {missing}"
    if pa.types.is_string(column.type) != (kind == pa.string()):
        return f"is {column.type}, but loop.yaml declares {kind}"
    try:
        pc.cast(column, kind)
    except pa.ArrowInvalid as error:
        return f"cannot be sent as {kind}: {error}"
    return ""


def _line(module: ModuleType, function: str) -> str:
    return f"{module.__file__}:{_line_number(module, function)}"


def _line_number(module: ModuleType, function: str) -> int:
    """Return the first line of a module's function; 1 if it has none."""
    file, line = defined_at(getattr(module, function, None)) or ("", 1)
    return line if file == module.__file__ else 1


def main() -> int:
    """Print the problems of a loop's past; return the exit code."""
    with contextlib.redirect_stdout(sys.stderr):
        problems = check_past(load_loop(Path(sys.argv[1]).resolve()), int(sys.argv[2]), int(sys.argv[3]))
    sys.stdout.write(json.dumps(problems) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
