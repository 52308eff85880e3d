"""Keep closed windows in SQL while their outcomes can still be corrected: joined rows and newest published sums.

The rows of a window are one JSON value: written once, read only when a correction arrives.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import astuple, replace
from typing import Any

import orjson
from sqlalchemy import Connection, delete, insert, select, update

from services.monitoring.adapters.tables import windows
from services.monitoring.domain.join import Correction
from services.monitoring.domain.monitor import ClosedWindow, WindowRules
from services.monitoring.domain.rows import JoinedRow, Pair, ReleaseScore
from services.monitoring.domain.window import ReleaseSums, RestatedWindow
from services.monitoring.domain.window import restate as restated_sums

_Outcome = tuple[str, int]
"""Key and event time. The key alone is not enough: after it is forgotten it can have another outcome."""


def keep(connection: Connection, loop: str, closed: ClosedWindow) -> None:
    """Store a window that closes, and delete the windows whose outcomes can no longer be corrected."""
    window = closed.window
    values = {
        "loop": loop,
        "end_ms": window.end_ms,
        "start_ms": window.start_ms,
        "sums": _sums_json(window.releases),
        "rows": orjson.dumps([_as_json(pair) for pair in closed.joined.pairs]),
    }
    connection.execute(insert(windows).values(values))
    connection.execute(delete(windows).where(windows.c.loop == loop, windows.c.end_ms < closed.forget_before_ms))


def restate(connection: Connection, rules: WindowRules, corrections: Sequence[Correction]) -> list[RestatedWindow]:
    """Apply corrections to closed windows; return the windows that changed, in order of time."""
    if not corrections:
        return []
    outcomes = [correction.outcome for correction in corrections]
    values = {(outcome.key, outcome.event_ms): outcome.value for outcome in outcomes}
    since_ms = min(outcome.visible_ms for outcome in outcomes)
    query = select(windows.c.end_ms).where(windows.c.loop == rules.loop, windows.c.end_ms > since_ms)
    ends = connection.execute(query.order_by(windows.c.end_ms)).scalars().all()
    restated = (_restated(connection, rules, end_ms, values) for end_ms in ends)
    return [window for window in restated if window is not None]


def _restated(
    connection: Connection, rules: WindowRules, end_ms: int, values: Mapping[_Outcome, float]
) -> RestatedWindow | None:
    """Return the window that ends at ``end_ms`` with the corrected values, or None if it has none of these outcomes."""
    mine = (windows.c.loop == rules.loop, windows.c.end_ms == end_ms)
    stored = connection.execute(select(windows).where(*mine)).one()
    rows = [_of_json(*row) for row in orjson.loads(stored.rows)]
    changed = {row.outcome for row in rows} & values.keys()
    if not changed:
        return None
    rows = [replace(row, value=values.get(row.outcome, row.value)) for row in rows]
    before = tuple(ReleaseSums(*row) for row in json.loads(stored.sums))
    after = restated_sums(before, rows, rules.kind)
    kept = {"sums": _sums_json(after), "rows": orjson.dumps([astuple(row) for row in rows])}
    connection.execute(update(windows).where(*mine).values(kept))
    return RestatedWindow(stored.start_ms, end_ms, before, after, len(changed))


def _sums_json(sums: Sequence[ReleaseSums]) -> str:
    return json.dumps([astuple(row) for row in sums])  # the standard library's JSON can write NaN


def _as_json(pair: Pair) -> tuple[object, ...]:
    outcome = pair.outcome
    scores = [(score.release_id, score.role, score.score, score.classes) for score in pair.prediction.scores]
    return (outcome.key, outcome.event_ms, outcome.value, scores)


def _of_json(key: str, event_ms: int, value: float, stored: Sequence[Sequence[Any]]) -> JoinedRow:
    scores = tuple(ReleaseScore(release, role, score, tuple(classes)) for release, role, score, classes in stored)
    return JoinedRow(key, event_ms, value, scores)
