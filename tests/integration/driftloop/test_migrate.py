from __future__ import annotations

import importlib
import sqlite3
import subprocess
import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Engine, MetaData, text

from driftloop.process.errors import ConfigError
from driftloop.process.settings import ROOT
from driftloop.process.sql_names import quote_name
from driftloop.runner import tables
from driftloop.runner.migrate import COMMON, TABLE
from driftloop.runner.tables import open_database

FIRST = Path(__file__).with_name("first_schema")
"""Databases of the last version before there were revisions, with rows of a replay: one SQL file each."""
DATABASES = {
    "ingestion": "services.ingestion.adapters.sql",
    "training": "services.training.adapters.sql",
    "evaluation": "services.evaluation.adapters.sql",
    "registry": "services.registry.adapters.sql",
    "serving": "services.serving.adapters.sql",
    "monitoring": "services.monitoring.adapters.tables",
    "detectors": "services.monitoring.detectors.state",
    "control": "services.control.adapters.tables",
}
"""Database to the module that declares its tables."""
EVERY = pytest.mark.parametrize("name", DATABASES)
OLD = pytest.mark.parametrize("name", [path.stem for path in sorted(FIRST.glob("*.sql"))])
"""Those that there were before."""


def metadata_of(name: str) -> MetaData:
    found: MetaData = importlib.import_module(DATABASES[name]).metadata
    return found


def database_url(folder: Path) -> str:
    return f"sqlite:///{folder / 'state.db'}"


def _rows(path: Path, columns: dict[str, list[str]]) -> dict[str, list[tuple[Any, ...]]]:
    with sqlite3.connect(path) as connection:
        return {
            table: sorted(
                connection.execute(f"SELECT {', '.join(map(quote_name, names))} FROM {quote_name(table)}"), key=repr
            )
            for table, names in columns.items()
        }


def _columns(path: Path) -> dict[str, list[str]]:
    with sqlite3.connect(path) as connection:
        names = [name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        return {
            table: [row[1] for row in connection.execute(f"PRAGMA table_info({quote_name(table)})")] for table in names
        }


def _revisions(engine: Engine) -> set[str]:
    with engine.connect() as connection:
        return {row[0] for row in connection.execute(text(f"SELECT version_num FROM {TABLE}"))}


@OLD
def test_the_first_schema_is_brought_here_with_its_rows(name: str, tmp_path: Path) -> None:
    path = tmp_path / "state.db"
    with sqlite3.connect(path) as connection:
        connection.executescript((FIRST / f"{name}.sql").read_text())
    columns = _columns(path)
    before = _rows(path, columns)
    engine = open_database(database_url(tmp_path), metadata_of(name))
    assert all(rows for table, rows in before.items() if table in metadata_of(name).tables)
    assert _rows(path, columns) == before
    assert differences(engine, name) == []


@EVERY
def test_revisions_make_the_tables_that_the_code_declares(name: str, tmp_path: Path) -> None:
    assert differences(open_database(database_url(tmp_path), metadata_of(name)), name) == []


def differences(engine: Engine, name: str) -> list[Any]:
    def ours(_object: object, found: str | None, kind: str, _reflected: bool, _to: object) -> bool:
        return not (kind == "table" and found == TABLE)

    with engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"include_object": ours, "compare_type": True})
        return list(compare_metadata(context, _together(tables.metadata, metadata_of(name))))


def _together(*each: MetaData) -> MetaData:
    whole = MetaData()
    for table in (table for metadata in each for table in metadata.tables.values()):
        table.to_metadata(whole)
    return whole


@EVERY
def test_every_revision_is_named_for_its_file_and_follows_one_other(name: str) -> None:
    for folder in (COMMON, metadata_of(name).info["revisions"]):
        script = ScriptDirectory(str(folder), version_locations=[str(folder)])
        history = list(script.walk_revisions())
        assert [Path(each.path).stem for each in history] == [each.revision for each in history]
        assert len(script.get_heads()) == len(script.get_bases()) == 1


@EVERY
def test_a_database_of_a_newer_version_is_refused_in_one_line(name: str, tmp_path: Path) -> None:
    engine = open_database(database_url(tmp_path), metadata_of(name))
    with engine.begin() as connection:
        connection.execute(text(f"UPDATE {TABLE} SET version_num = 'x_0999' WHERE version_num LIKE '{name}%'"))
    with pytest.raises(ConfigError, match=r"state\.db has revision x_0999, which this driftloop does not know") as told:
        open_database(database_url(tmp_path), metadata_of(name))
    assert "\n" not in str(told.value)


def test_a_second_start_changes_nothing(tmp_path: Path) -> None:
    metadata = metadata_of("registry")
    revisions = _revisions(open_database(database_url(tmp_path), metadata))
    assert revisions == {"runner_0002", "registry_0003"}
    assert _revisions(open_database(database_url(tmp_path), metadata)) == revisions


SECOND = """
import sqlalchemy as sa
from alembic import op

revision = "test_0002"
down_revision = "test_0001"


def upgrade():
    op.add_column("things", sa.Column("size", sa.Integer, nullable=False, server_default="7"))
    {then}
"""
FIRST_OF_TEST = """
import sqlalchemy as sa
from alembic import op

revision = "test_0001"
down_revision = None


def upgrade():
    op.create_table("things", sa.Column("name", sa.String, primary_key=True))
    op.execute("INSERT INTO things VALUES ('a')")
"""


@pytest.fixture
def history(tmp_path: Path) -> Path:
    """A folder with two revisions."""
    folder = tmp_path / "revisions"
    folder.mkdir()
    (folder / "test_0001.py").write_text(FIRST_OF_TEST)
    (folder / "test_0002.py").write_text(SECOND.format(then=""))
    return folder


def _things(engine: Engine) -> Sequence[Any]:
    with engine.connect() as connection:
        return connection.execute(text("SELECT * FROM things")).all()


def test_revisions_are_applied_in_their_order(tmp_path: Path, history: Path) -> None:
    engine = open_database(database_url(tmp_path), tables.versioned(history))
    assert _things(engine) == [("a", 7)]


def test_a_revision_that_fails_leaves_nothing_of_itself(tmp_path: Path, history: Path) -> None:
    (history / "test_0002.py").write_text(SECOND.format(then="raise RuntimeError('no')"))
    with pytest.raises(RuntimeError, match="no"):
        open_database(database_url(tmp_path), tables.versioned(history))
    (history / "test_0002.py").write_text(SECOND.format(then=""))
    engine = open_database(database_url(tmp_path), tables.versioned(history))  # "size" would be there already
    assert _things(engine) == [("a", 7)]


def test_starts_at_once_apply_each_revision_once(tmp_path: Path, history: Path) -> None:
    with ThreadPoolExecutor(4) as threads:
        found = list(threads.map(lambda _: open_database(database_url(tmp_path), tables.versioned(history)), range(4)))
    assert [_things(engine) for engine in found] == [[("a", 7)]] * 4


def test_a_process_that_finds_a_newer_database_ends_with_code_2_and_says_so(tmp_path: Path) -> None:
    settings = {"DRIFTLOOP_HOME": str(tmp_path), "PATH": "/usr/bin:/bin", "TZ": "UTC"}
    (tmp_path / "state").mkdir()
    engine = open_database(f"sqlite:///{tmp_path}/state/registry.db", metadata_of("registry"))
    with engine.begin() as connection:
        connection.execute(text(f"UPDATE {TABLE} SET version_num = 'registry_0999' WHERE version_num LIKE 'reg%'"))
    ended = subprocess.run(
        [sys.executable, "-m", "services.registry"],
        cwd=ROOT,
        env=settings,
        capture_output=True,
        text=True,
        timeout=120.0,
        check=False,
    )
    assert ended.returncode == 2, ended.stderr
    assert "registry_0999" in (tmp_path / "run" / "registry.refused").read_text()
