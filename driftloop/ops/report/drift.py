"""Statistics of detectors and stability of inputs, computed again from closed windows. Pure."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any

from driftloop.contracts import monitoring_pb2 as monitoring
from driftloop.drift.detectors import DetectorRule, DetectorState, apply_window
from driftloop.drift.statistics import Block, read_statistic
from driftloop.drift.windows import champion_window, detector_rules
from driftloop.events.envelope import Envelope, rfc3339
from driftloop.loop import LoopDefinition
from driftloop.readmodel.loop_history import LoopHistory

_CEILING = 4.0
_RISE_WINDOWS, _MIN_WINDOWS = 14, 4
_MIN_ROWS = 50
"""With fewer rows an index is mostly noise."""


@dataclass(frozen=True, slots=True)
class Point:
    """A number about the champion, at the end of a window."""

    at_ms: int
    value: float
    release: str

    def to_json(self) -> dict[str, Any]:
        return {"at": rfc3339(self.at_ms), "value": self.value, "release": self.release}


@dataclass(frozen=True)
class Readings:
    """A detector over time."""

    detector: str
    mode: str
    threshold: float
    kind: str = ""
    """Empty if the loop's definition does not have the detector: then there are alarms, but no points."""
    points: tuple[Point, ...] = ()
    """Its statistic at the end of each window that has one."""
    alarms: tuple[Point, ...] = ()
    """Statistics of its alarms, from the alarm events."""

    @property
    def ceiling(self) -> float:
        """Larger values are drawn here: the statistic of blocks that hardly vary has no bound."""
        return _CEILING * self.threshold

    def to_json(self) -> dict[str, Any]:
        return {
            "detector": self.detector,
            "kind": self.kind,
            "mode": self.mode,
            "threshold": self.threshold,
            "points": [point.to_json() for point in self.points],
            "alarms": [alarm.to_json() for alarm in self.alarms],
        }


def readings(history: LoopHistory, definition: LoopDefinition | None) -> list[Readings]:
    """Return every detector of the current definition over all windows, then removed detectors that raised alarms.

    It runs the detectors' own code over the windows that they saw. So a statistic is the one that was compared, unless
    the definition has changed since.
    """
    windows = history.closed_windows()
    alarms: dict[str, list[Envelope[monitoring.DriftDetected]]] = defaultdict(list)
    for event in history.of_kind(monitoring.DriftDetected):
        alarms[event.data.detector].append(event)
    known = [
        _read(rule, windows, alarms.pop(rule.name, [])) for rule in (detector_rules(definition) if definition else ())
    ]
    removed = [
        Readings(name, raised[-1].data.mode, raised[-1].data.threshold, alarms=_alarm_points(raised))
        for name, raised in sorted(alarms.items())
    ]
    return known + removed


@dataclass(frozen=True)
class Stability:
    """How far an input, or the score, was from the training data of the champion."""

    name: str
    points: tuple[Point, ...]
    """Population stability index of each window with 50 rows or more, in event time; at least one."""

    @property
    def rise(self) -> float:
        """Return Welch's t of the newest windows of one champion against its first ones, at most 14 of each.

        It is the largest over champions; 0 if no champion had four windows. The index itself gives no useful order: it
        is large every day for an input that is equal in all rows of a day.
        """
        by_champion = (list(points) for _, points in groupby(self.points, lambda point: point.release))
        rises = [_rise(points) for points in by_champion]
        return max([0.0, *(rise for rise in rises if rise is not None)])

    def to_json(self) -> dict[str, Any]:
        values = [point.value for point in self.points]
        return {
            "rise": self.rise,
            "mean": sum(values) / len(values),
            "max": max(values),
            "points": [point.to_json() for point in self.points],
        }


def stability(history: LoopHistory) -> list[Stability]:
    """Return the stability of every input and of the score, the largest rise first."""
    points: dict[str, list[Point]] = defaultdict(list)
    for event in history.closed_windows():
        window = champion_window(event)
        for name, psi in (window.psi or {}).items():
            if window.champion and (window.psi_rows or {}).get(name, 0) >= _MIN_ROWS:
                points[name].append(Point(window.end_ms, psi, window.champion))
    inputs = [Stability(name, tuple(series)) for name, series in points.items()]
    return sorted(inputs, key=lambda input_: (-input_.rise, input_.name))


def _rise(points: Sequence[Point]) -> float | None:
    blocks = [Block("", 1, 0.0, point.value, {}) for point in points]
    reading = (
        read_statistic("block_loss", blocks, min(_RISE_WINDOWS, len(points) // 2))
        if len(points) >= _MIN_WINDOWS
        else None
    )
    return None if reading is None else reading.statistic


def _read(
    rule: DetectorRule, windows: Iterable[Envelope[Any]], alarms: Sequence[Envelope[monitoring.DriftDetected]]
) -> Readings:
    state, points = DetectorState(), []
    for event in windows:
        result = apply_window(rule, state, champion_window(event))
        state = result.state
        if result.reading is not None:
            points.append(Point(event.data.end_ms, result.reading.statistic, state.release))
    return Readings(rule.name, rule.mode, rule.threshold, rule.kind, tuple(points), _alarm_points(alarms))


def _alarm_points(alarms: Sequence[Envelope[monitoring.DriftDetected]]) -> tuple[Point, ...]:
    return tuple(Point(event.time_ms, event.data.statistic, event.data.release_id) for event in alarms)
