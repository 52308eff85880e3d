"""What detectors read and how inputs moved, told again from closed windows. Pure."""

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
from driftloop.readmodel.attempts import closed_windows, of_kind

_CEILING = 4.0
_RISE_WINDOWS, _LEAST_WINDOWS = 14, 4
_LEAST_ROWS = 50
"""Below that an index is mostly noise."""


@dataclass(frozen=True, slots=True)
class Point:
    """A number at the end of a window, about the champion of that time."""

    at_ms: int
    value: float
    release: str

    def to_json(self) -> dict[str, Any]:
        """Time as RFC 3339."""
        return {"at": rfc3339(self.at_ms), "value": self.value, "release": self.release}


@dataclass(frozen=True)
class Readings:
    """A detector over time."""

    detector: str
    mode: str
    threshold: float
    kind: str = ""
    """Empty where the loop's definition does not hold the detector: then there are no points, only its alarms."""
    points: tuple[Point, ...] = ()
    """Its statistic at the end of each window that gave one."""
    alarms: tuple[Point, ...] = ()
    """Statistics of its alarms, as they were told when they were raised."""

    @property
    def ceiling(self) -> float:
        """Larger values are drawn here: blocks that hardly vary give a statistic without bound."""
        return _CEILING * self.threshold

    def to_json(self) -> dict[str, Any]:
        """Times as RFC 3339."""
        return {
            "detector": self.detector,
            "kind": self.kind,
            "mode": self.mode,
            "threshold": self.threshold,
            "points": [each.to_json() for each in self.points],
            "alarms": [each.to_json() for each in self.alarms],
        }


def readings(events: Sequence[Envelope[Any]], definition: LoopDefinition | None) -> list[Readings]:
    """Each detector of the definition, as it is now, over all windows of a loop; and those that only alarms tell of.

    It is the detectors' own code over the windows that they saw, so a statistic is the one that was compared, unless
    the definition has changed since.
    """
    windows = closed_windows(events)
    alarms: dict[str, list[Envelope[monitoring.DriftDetected]]] = defaultdict(list)
    for event in of_kind(events, monitoring.DriftDetected):
        alarms[event.data.detector].append(event)
    known = [
        _read(rule, windows, alarms.pop(rule.name, [])) for rule in (detector_rules(definition) if definition else ())
    ]
    former = [
        Readings(name, each[-1].data.mode, each[-1].data.threshold, alarms=_raised(each))
        for name, each in sorted(alarms.items())
    ]
    return known + former


@dataclass(frozen=True)
class Stability:
    """How far an input, or the score, was from what the champion of the time had seen in training."""

    name: str
    points: tuple[Point, ...]
    """Population stability index of each window with 50 rows or more, in event time; at least one."""

    @property
    def rise(self) -> float:
        """How far it rose under one champion: Welch's t of its newest windows above its first ones, at most 14 of each.

        The largest over champions; 0 where none had four windows. The index itself ranks nothing: that of an input
        which is equal for all rows of a day is large every day.
        """
        found = [_rise(part) for part in parts(self.points)]
        return max([0.0, *(each for each in found if each is not None)])

    def to_json(self) -> dict[str, Any]:
        """Rise, mean over windows, and windows."""
        values = [each.value for each in self.points]
        return {
            "rise": self.rise,
            "mean": sum(values) / len(values),
            "max": max(values),
            "points": [each.to_json() for each in self.points],
        }


def stability(events: Iterable[Envelope[Any]]) -> list[Stability]:
    """Each input's, and the score's, of a loop; what rose most comes first."""
    points: dict[str, list[Point]] = defaultdict(list)
    for event in closed_windows(events):
        seen = champion_window(event)
        for name, psi in (seen.psi or {}).items():
            if seen.champion and (seen.psi_rows or {}).get(name, 0) >= _LEAST_ROWS:
                points[name].append(Point(seen.end_ms, psi, seen.champion))
    found = [Stability(name, tuple(each)) for name, each in points.items()]
    return sorted(found, key=lambda each: (-each.rise, each.name))


def parts(points: Sequence[Point]) -> list[list[Point]]:
    """Points of one champion after the other."""
    return [list(part) for _, part in groupby(points, lambda point: point.release)]


def _rise(points: Sequence[Point]) -> float | None:
    blocks = [Block("", 1, 0.0, point.value, {}) for point in points]
    reading = (
        read_statistic("block_loss", blocks, min(_RISE_WINDOWS, len(points) // 2))
        if len(points) >= _LEAST_WINDOWS
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
    return Readings(rule.name, rule.mode, rule.threshold, rule.kind, tuple(points), _raised(alarms))


def _raised(alarms: Sequence[Envelope[monitoring.DriftDetected]]) -> tuple[Point, ...]:
    return tuple(Point(event.time_ms, event.data.statistic, event.data.release_id) for event in alarms)
