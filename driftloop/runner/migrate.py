"""Brings a service's database to the schema of this version: Alembic's revisions, applied in order at start.

A folder of revisions is one history: each file is named for the revision that it holds, says which one it follows, and
only goes up. A database notes in `TABLE` the newest of each history that it has. What inbox and outbox need stands in
`COMMON`, a service's own tables in its ``revisions``.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from alembic.operations import Operations
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Engine

from driftloop.process.errors import ConfigError

COMMON = Path(__file__).with_name("revisions")
TABLE = "driftloop_revisions"


def migrate(engine: Engine, folders: Sequence[Path]) -> None:
    """Apply the revisions that a database lacks, each in a transaction of its own.

    Each transaction begins as the database's one writer (`driftloop.runner.tables`), so two processes that start at
    once apply none twice, and a killed one leaves the database at a revision.

    Raises:
        ConfigError: a newer version of driftloop wrote the database.
    """
    script = ScriptDirectory(str(COMMON), version_locations=[str(folder) for folder in folders])
    while _step(engine, script):
        pass


def _step(engine: Engine, script: ScriptDirectory) -> bool:
    """Apply the next revision; whether there was one."""
    applied: list[str] = []

    def following(heads: Any, _context: MigrationContext) -> list[Any]:
        _refuse_unknown(engine, script, heads)
        steps: list[Any] = script._upgrade_revs("heads", heads)[:1]
        applied.extend(step.revision.revision for step in steps)
        return steps

    with engine.begin() as connection:
        context = MigrationContext.configure(connection, opts={"version_table": TABLE, "fn": following})
        with Operations.context(context):
            context.run_migrations()
    return bool(applied)


def _refuse_unknown(engine: Engine, script: ScriptDirectory, heads: Sequence[str]) -> None:
    known = {each.revision for each in script.walk_revisions()}
    if unknown := sorted(set(heads) - known):
        name = engine.url.render_as_string(hide_password=True)
        raise ConfigError(
            f"{name} has revision {', '.join(unknown)}, which this driftloop does not know: a newer version wrote it; "
            "start that one, or set DRIFTLOOP_HOME to another folder"
        )
