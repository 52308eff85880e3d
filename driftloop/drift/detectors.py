"""Drift detectors over closed windows: state, episodes, alarms. Applying the same window twice changes nothing."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Literal

from driftloop.drift.statistics import Block, DetectorKind, Reading, blocks_needed, read_statistic

EPISODE_ENDS_BELOW = 0.8
"""An episode ends when the statistic falls below this share of the threshold, so noise around it makes one episode."""

SILENT_WINDOWS = 5
"""A detector that could not judge this many windows in a row is reported."""


@dataclass(frozen=True, slots=True)
class DetectorRule:
    """A detector as the loop definition declares it."""

    name: str
    kind: DetectorKind
    mode: Literal["watch", "trigger"]
    threshold: float
    blocks: int = 1
    on: str | None = None
    min_rows: int = 1

    @property
    def measures(self) -> str:
        """The kind and the input. A detector that measures something else now begins again without blocks."""
        return f"{self.kind}/{self.on or ''}"


@dataclass(frozen=True, slots=True)
class ChampionWindow:
    """The champion's part of a closed window; ``champion`` is empty if nothing was predicted."""

    evidence_id: str
    window_id: str
    end_ms: int
    champion: str
    joined: int = 0
    loss: float = 0.0
    """Sum over the joined predictions."""
    residual: float = 0.0
    """Sum over the joined predictions."""
    psi: Mapping[str, float] | None = None
    psi_rows: Mapping[str, int] | None = None
    """Number of predictions behind each stability index."""


@dataclass(frozen=True, slots=True)
class DetectorState:
    """The state of a detector for one loop."""

    end_ms: int = 0
    """End of the newest window that was applied."""
    release: str = ""
    """The champion that the blocks belong to."""
    blocks: tuple[Block, ...] = ()
    episode: str = ""
    """First window of the open episode, or empty."""
    skipped: int = 0
    """Number of windows with a champion, up to the newest, that had too few rows for the detector."""
    measures: str = ""
    """What the blocks are about: the rule's `measures`. Empty in states of older versions."""

    @property
    def silent(self) -> bool:
        """Whether the detector could not judge for too long."""
        return self.skipped >= SILENT_WINDOWS


@dataclass(frozen=True, slots=True)
class Alarm:
    """The start of an episode."""

    rule: DetectorRule
    release: str
    episode: str
    reading: Reading


@dataclass(frozen=True, slots=True)
class DetectorStep:
    """Result of applying one window."""

    state: DetectorState
    reading: Reading | None = None
    alarm: Alarm | None = None
    rows: int = 0
    """Rows that the window has for the detector."""


def apply_window(rule: DetectorRule, state: DetectorState, window: ChampionWindow) -> DetectorStep:
    """Apply a window. A window that was already applied, or is older, changes nothing."""
    if window.end_ms <= state.end_ms:
        return DetectorStep(state)
    if state.measures not in ("", rule.measures):
        state = DetectorState()
    state = replace(state, end_ms=window.end_ms, measures=rule.measures)
    if not window.champion:
        return DetectorStep(state)
    if window.champion != state.release:
        state = DetectorState(window.end_ms, window.champion, skipped=state.skipped, measures=rule.measures)
    block, rows = _block(rule, window), _rows(rule, window)
    if block is None:
        return DetectorStep(replace(state, skipped=state.skipped + 1), rows=rows)
    state = replace(state, blocks=_kept(rule, (*state.blocks, block)), skipped=0)
    reading = read_statistic(rule.kind, state.blocks, rule.blocks)
    step = DetectorStep(state) if reading is None else _judge(rule, state, window, reading)
    return replace(step, rows=rows)


def _judge(rule: DetectorRule, state: DetectorState, window: ChampionWindow, reading: Reading) -> DetectorStep:
    if state.episode:
        over = reading.statistic < EPISODE_ENDS_BELOW * rule.threshold
        return DetectorStep(replace(state, episode="" if over else state.episode), reading)
    if reading.statistic <= rule.threshold:
        return DetectorStep(state, reading)
    opened = replace(state, episode=window.window_id)
    return DetectorStep(opened, reading, Alarm(rule, state.release, window.window_id, reading))


def _block(rule: DetectorRule, window: ChampionWindow) -> Block | None:
    """Return the window as a block of this detector, or None if it has too few rows."""
    if rule.kind == "psi":
        psi = _watched(rule, window)
        return Block(window.evidence_id, window.joined, 0.0, 0.0, psi) if psi else None
    if window.joined < max(rule.min_rows, 1):
        return None
    return Block(window.evidence_id, window.joined, window.residual / window.joined, window.loss / window.joined, {})


def _rows(rule: DetectorRule, window: ChampionWindow) -> int:
    """Return the rows that the window has for the detector, whether or not they are enough."""
    if rule.kind != "psi":
        return window.joined
    rows = window.psi_rows or {}
    return max(rows.values(), default=0) if rule.on is None else rows.get(rule.on, 0)


def _watched(rule: DetectorRule, window: ChampionWindow) -> dict[str, float]:
    rows = window.psi_rows or {}
    indices = {name: value for name, value in (window.psi or {}).items() if rows.get(name, 0) >= rule.min_rows}
    return indices if rule.on is None else {name: value for name, value in indices.items() if name == rule.on}


def _kept(rule: DetectorRule, blocks: tuple[Block, ...]) -> tuple[Block, ...]:
    """Return the blocks that a later statistic can need: the newest, and for ``block_loss`` also the first."""
    limit = blocks_needed(rule.kind, rule.blocks)
    if len(blocks) <= limit:
        return blocks
    half = limit // 2
    return (*blocks[:half], *blocks[-half:]) if rule.kind == "block_loss" else blocks[-limit:]
