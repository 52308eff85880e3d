"""``python -m services.ingestion.check FOLDER...``: report what ingestion would refuse of a loop, and its tables."""

from __future__ import annotations

import sys
from collections.abc import Iterator

from driftloop.loop import Loop
from driftloop.loop.compile import compile_protos
from driftloop.loop.findings import Effect, answer
from driftloop.loop.load import DESCRIPTORS
from driftloop.process.errors import LoopDefinitionError
from driftloop.process.settings import Settings
from services.ingestion.bootstrap import compile_loops


def inspect(loop: Loop, settings: Settings) -> Iterator[Effect]:
    """Return a lake table for each event type.

    Raises:
        LoopDefinitionError: all problems of the loop's events, or changed protos.
    """
    if (loop.folder / "protos").exists() and compile_protos(loop.folder) != (loop.folder / DESCRIPTORS).read_bytes():
        how = f"run `python -m driftloop.loop.compile {loop.folder}`"
        raise LoopDefinitionError([f"{loop.folder / DESCRIPTORS}:1: is not what the protos beside it give; {how}"])
    [compiled] = compile_loops([loop])
    for name, schema in compiled.schemas.items():
        columns = [*schema.own, *loop.definition.events[name].derive]
        where = (settings.lake / loop.name / "events" / name).relative_to(settings.home)
        yield Effect("table", name, f"{len(columns)} columns, in {where} below {settings.home}")


if __name__ == "__main__":
    sys.exit(answer(inspect))
