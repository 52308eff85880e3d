"""``python -m services.ingestion.check FOLDER...``: report what ingestion would refuse of a loop, and its tables."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

from driftloop.loop import Loop
from driftloop.loop.compile import compile_protos
from driftloop.loop.findings import Effect, Findings, Read, answer
from driftloop.loop.load import DESCRIPTORS
from driftloop.process.errors import LoopDefinitionError
from driftloop.process.object_store import Folder
from driftloop.process.settings import Settings
from services.ingestion.bootstrap import compile_loops
from services.ingestion.compile import CompiledLoop, lake_problems
from services.ingestion.domain.schema import STANDARD, field_types

_IDS = ("string", "int32", "int64")


def inspect(loop: Loop, settings: Settings) -> Findings:
    """Return a lake table for each event type, and all columns.

    Raises:
        LoopDefinitionError: the loop's messages cannot be read, or its protos have changed.
    """
    if (loop.folder / "protos").exists() and compile_protos(loop.folder) != (loop.folder / DESCRIPTORS).read_bytes():
        how = f"run `python -m driftloop.loop.compile {loop.folder}`"
        raise LoopDefinitionError([f"{loop.folder / DESCRIPTORS}:1: is not what the protos beside it give; {how}"])
    reads = tuple(_reads(loop))
    try:
        [compiled] = compile_loops([loop])
        if problems := lake_problems(loop, compiled, settings.lake / loop.name / "events"):
            raise LoopDefinitionError(problems)
    except LoopDefinitionError as error:
        return Findings(problems=tuple(error.problems), columns=_columns(loop, None), reads=reads)
    return Findings(effects=tuple(_tables(loop, compiled, settings)), columns=_columns(loop, compiled), reads=reads)


def _tables(loop: Loop, compiled: CompiledLoop, settings: Settings) -> Iterator[Effect]:
    for name, schema in compiled.schemas.items():
        columns = [*schema.own, *loop.definition.events[name].derive]
        where = settings.lake / loop.name / "events" / name
        yield Effect("table", name, f"{len(columns)} columns, in {_below_home(where, settings)}")


def _below_home(folder: Folder, settings: Settings) -> str:
    if isinstance(folder, Path):
        return f"{folder.relative_to(settings.home)} below {settings.home}"
    return str(folder)


def _reads(loop: Loop) -> Iterator[Read]:
    for name, event in loop.definition.events.items():
        for role, column in (("id", event.id), ("key", event.key)):
            yield Read(loop.line_of("events", name, role), role, name, column, _IDS)


def _columns(loop: Loop, compiled: CompiledLoop | None) -> Mapping[str, Mapping[str, str]]:
    """Return the type of each column; that of a derived column is known once the loop has no problems."""
    columns = {}
    for name, event in loop.definition.events.items():
        types = {field.name: str(field.type) for field in STANDARD}
        types |= {field: str(kind) for field, kind in field_types(loop.messages[name]).items()}
        types |= dict.fromkeys(event.derive, "")
        if compiled and name in compiled.derives:
            types |= {field.name: str(field.type) for field in compiled.derives[name].schema}
        columns[name] = types
    return columns


if __name__ == "__main__":
    sys.exit(answer(inspect))
