"""The state of a detector, in the Faust table and in the detectors' own database.

Faust sends table changes from a buffer, and commits read offsets without waiting for that buffer. A process killed
between the two restarts with an older table, and the window does not arrive again. So the transaction that writes
the window's events also writes the new states. Of the two copies, the one with the later window is used.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from sqlalchemy import Column, Connection, Engine, String, Table, Text, delete, insert, select

from driftloop.drift.detectors import DetectorState
from driftloop.drift.statistics import Block
from driftloop.process.errors import ConfigError
from driftloop.runner.tables import reading, versioned

_FORMAT = 1

metadata = versioned(Path(__file__).with_name("revisions"))

states = Table("states", metadata, Column("key", String, primary_key=True), Column("state", Text, nullable=False))
gaps = Table("gaps", metadata, Column("loop", String, primary_key=True), Column("window_id", String, nullable=False))
"""The window of each loop that last arrived without its predecessor."""


def is_new_gap(engine: Engine, loop: str, window_id: str) -> bool:
    """Record a window that arrived without its predecessor; return False if it was the last one recorded."""
    with engine.begin() as connection:
        noted = connection.execute(select(gaps.c.window_id).where(gaps.c.loop == loop)).scalar_one_or_none()
        if noted != window_id:
            connection.execute(delete(gaps).where(gaps.c.loop == loop))
            connection.execute(insert(gaps).values(loop=loop, window_id=window_id))
    return noted != window_id


def load(engine: Engine) -> dict[str, str]:
    """Return all states in the database, by their key in the table. Raises like `from_text`."""
    with reading(engine) as connection:
        texts = {row.key: row.state for row in connection.execute(select(states))}
    for text in texts.values():
        from_text(text)
    return texts


def save(connection: Connection, changed: Mapping[str, str]) -> None:
    """Replace states."""
    connection.execute(delete(states).where(states.c.key.in_(list(changed))))
    connection.execute(insert(states), [{"key": key, "state": text} for key, text in changed.items()])


def newer(one: str | None, other: str | None) -> DetectorState:
    """Return the state that has seen the later window."""
    return max(from_text(one), from_text(other), key=lambda state: state.end_ms)


def table_key(loop: str, detector: str) -> str:
    """Return the key of a detector's state."""
    return f"{loop}/{detector}"


def to_text(state: DetectorState) -> str:
    """Return the state as JSON; floats keep all their bits."""
    return json.dumps({"format": _FORMAT, **asdict(state)}, sort_keys=True, separators=(",", ":"))


def from_text(text: str | None) -> DetectorState:
    """Return the state that `to_text` wrote, or the initial state if there is no text.

    Raises:
        ConfigError: another version of driftloop wrote it.
    """
    if not text:
        return DetectorState()
    data: dict[str, Any] = json.loads(text)
    if (version := data.get("format", 1)) != _FORMAT:  # the first version did not write the format
        raise ConfigError(
            f"a detector's state has format {version}, and this driftloop reads {_FORMAT}: another version wrote it; "
            "start that one, or set DRIFTLOOP_HOME to another folder"
        )
    blocks = tuple(Block(**{**block, "psi": dict(block["psi"])}) for block in data["blocks"])
    added = data.get("skipped", 0), data.get("measures", "")
    return DetectorState(data["end_ms"], data["release"], blocks, data["episode"], *added)
