"""Claims on rows: one instance works on a row outside the transaction, until it is done or a deadline passes.

The owner's name stays with an instance across restarts (`driftloop.runner.alone`), so a restarted process continues
with its own rows at once. After the deadline another instance takes the row over. It is far longer than the work takes.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import BigInteger, Column, ColumnElement, Engine, String, Table, or_, update

RELEASED = {"claimed_by": "", "claimed_until_wall_ms": 0}
"""Values of a row that nobody works on."""


def claim_columns() -> tuple[Column[Any], Column[Any]]:
    """Return the columns of a table whose rows can be claimed."""
    return (
        Column("claimed_by", String, nullable=False, server_default=""),
        Column("claimed_until_wall_ms", BigInteger, nullable=False, server_default="0"),
    )


def is_free(table: Table, owner: str, now_ms: int) -> ColumnElement[bool]:
    """Return the condition that nobody but ``owner`` works on a row."""
    return or_(table.c.claimed_by.in_(["", owner]), table.c.claimed_until_wall_ms <= now_ms)


def claim(engine: Engine, table: Table, row: ColumnElement[bool], *, owner: str, now_ms: int, until_ms: int) -> bool:
    """Claim a row, in a transaction of its own; return whether it was free."""
    values = {"claimed_by": owner, "claimed_until_wall_ms": until_ms}
    with engine.begin() as connection:
        taken = connection.execute(update(table).where(row, is_free(table, owner, now_ms)).values(values))
    return taken.rowcount == 1
