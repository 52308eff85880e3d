"""Upgrades a service's database to this version's schema: applies Alembic's revisions in order at the start.

A folder of revisions is one history. Each file is named after its revision, names the revision that it follows, and
only upgrades. A database stores the newest applied revision of each history in `TABLE`. `COMMON` creates inbox and
outbox; a service's ``revisions`` create its own tables.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sqlalchemy import Engine

from driftloop.process.errors import ConfigError

if TYPE_CHECKING:
    from alembic.runtime.migration import MigrationContext
    from alembic.script import ScriptDirectory

COMMON = Path(__file__).with_name("revisions")
TABLE = "driftloop_revisions"


def migrate(engine: Engine, folders: Sequence[Path]) -> None:
    """Apply the revisions that a database lacks, each in its own transaction.

    Each transaction begins as the database's one writer (`driftloop.runner.tables`). So two processes that start at
    the same time apply no revision twice, and a killed process leaves the database at a revision.

    Raises:
        ConfigError: a newer version of driftloop wrote the database.
    """
    from alembic.script import ScriptDirectory  # slow to import, and a process with a lease alone migrates nothing

    script = ScriptDirectory(str(COMMON), version_locations=[str(folder) for folder in folders])
    while _step(engine, script):
        pass


def _step(engine: Engine, script: ScriptDirectory) -> bool:
    """Apply the next revision; return whether there was one."""
    from alembic.operations import Operations
    from alembic.runtime.migration import MigrationContext

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
    known = {revision.revision for revision in script.walk_revisions()}
    if unknown := sorted(set(heads) - known):
        name = engine.url.render_as_string(hide_password=True)
        raise ConfigError(
            f"{name} has revision {', '.join(unknown)}, which this driftloop does not know: a newer version wrote it; "
            "start that one, or set DRIFTLOOP_HOME to another folder"
        )
