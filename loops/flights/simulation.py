"""Applies the policies of loop.yaml to all rows at once: windows by outcome, decisions at their ends, paired losses.

It follows the rules of the services and shares no code with them. It was used to choose settings; the system proves
them.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from driftloop.loop import LoopDefinition, to_ms
from driftloop.loop.definition import DetectorDefinition, Step
from driftloop.model.trainer import TrainingSet
from loops.flights.model import Trainer
from loops.flights.world import NEVER, World

EPSILON = 1e-7
EPISODE_ENDS_BELOW = 0.8
"""An episode ends when the statistic falls below this share of its threshold."""
REASONS_BY_PRIORITY = ("command", "drift", "schedule", "first_champion")
Floats = NDArray[np.float64]


@dataclass(frozen=True)
class SimulatedEvent:
    """An event of the history: what happened at the end of a window (UTC ms), with its numbers."""

    time_ms: int
    kind: str
    detail: str
    notable: bool = True
    """Whether a history of one line contains it: false if another event states the same."""


@dataclass(frozen=True)
class PairedBlock:
    """Loss sums of champion and challenger over the same rows of one block."""

    end_ms: int
    champion: float
    challenger: float
    rows: int


@dataclass
class SimulatedRelease:
    """A trained model with its score of every row. It has served the rows decided from ``since_ms`` on."""

    name: str
    reason: str
    score: Floats
    since_ms: int
    champion_ms: int = NEVER
    step: int = 0
    step_ms: int = 0
    paired: list[PairedBlock] = field(default_factory=list)
    residuals: list[float] = field(default_factory=list)
    alarmed: bool = False


@dataclass(frozen=True)
class Gain:
    """Mean loss of the champion minus the challenger's, with interval; above zero the challenger is better."""

    estimate: float
    lower: float
    upper: float
    blocks: int

    def __str__(self) -> str:
        return f"{self.estimate:+.4f} [{self.lower:+.4f}, {self.upper:+.4f}] over {self.blocks} blocks"


def log_loss(score: Floats, label: Floats) -> Floats:
    """Return the loss of each row in nats, float64 [n]."""
    clipped = np.clip(score, EPSILON, 1 - EPSILON)
    return np.asarray(-np.where(label > 0.5, np.log(clipped), np.log1p(-clipped)))


def gain(paired: list[PairedBlock], definition: LoopDefinition) -> Gain:
    """Return the percentile interval of the block bootstrap (Efron & Tibshirani 1993, chapter 13)."""
    rule = definition.rollout
    sums = np.asarray([(block.champion - block.challenger, block.rows) for block in paired])
    drawn = np.random.default_rng(rule.seed).integers(0, len(sums), (rule.resamples, len(sums)))
    totals = sums[drawn].sum(axis=1)
    lower, upper = np.quantile(totals[:, 0] / totals[:, 1], [(1 - rule.level) / 2, (1 + rule.level) / 2])
    total = sums.sum(axis=0)
    return Gain(float(total[0] / total[1]), float(lower), float(upper), len(sums))


class Simulation:
    """One loop over one period."""

    def __init__(self, definition: LoopDefinition, world: World, seed: int) -> None:
        self._loop, self._world, self._seed = definition, world, seed
        self._block = to_ms(definition.monitoring.block)
        self._waiting: list[str] = []
        self._runs = 0
        self._due = 1
        self._free_from = 0
        self.champion: SimulatedRelease | None = None
        self.challenger: SimulatedRelease | None = None
        self.releases: list[SimulatedRelease] = []

    def run(self) -> Iterator[SimulatedEvent]:
        """Return the history, in order of event time."""
        last = int(self._world.outcome_ms[self._world.outcome_ms < NEVER].max())
        for end in range(self._world.origin_ms + self._block, last + 2 * self._block, self._block):
            rows = self._world.closed(end - self._block, end)
            yield from self._judge(rows, end)
            yield from self._watch(rows, end)
            self._apply_schedule(end)
            if self._waiting and self.challenger is None and end >= self._free_from:
                yield from self._train(end)

    def _watch(self, rows: NDArray[np.int64], end: int) -> Iterator[SimulatedEvent]:
        """Apply the `block_residual` detectors to the champion's own rows."""
        release = self.champion
        if release is None:
            return
        rows = rows[self._world.rows.decision_time_ms[rows] >= release.champion_ms]
        for name, rule in self._loop.monitoring.detectors.items():
            if rule.kind == "block_residual" and len(rows) >= rule.min_rows:
                release.residuals.append(float((release.score[rows] - self._world.rows.label[rows]).mean()))
                yield from self._test(release, name, rule, end)

    def _test(
        self, release: SimulatedRelease, name: str, rule: DetectorDefinition, end: int
    ) -> Iterator[SimulatedEvent]:
        recent = np.asarray(release.residuals[-rule.blocks :])
        if len(recent) < rule.blocks:
            return
        statistic = abs(recent.mean()) / (recent.std(ddof=1) / np.sqrt(len(recent)))
        if statistic > rule.threshold and not release.alarmed:
            release.alarmed = True
            if rule.mode == "trigger":
                self._waiting.append("drift")
            detail = (
                f"{name} {statistic:.2f} > {rule.threshold:g}, mean residual {recent.mean():+.4f}, on {release.name}"
            )
            yield SimulatedEvent(end, "alarm", detail)
        elif statistic < EPISODE_ENDS_BELOW * rule.threshold:
            release.alarmed = False

    def _apply_schedule(self, end: int) -> None:
        rule, elapsed = self._loop.training, end - self._world.origin_ms
        if self.champion is None:
            if elapsed >= to_ms(rule.first_champion_after):
                self._waiting = ["first_champion"]
        elif rule.schedule is not None and elapsed >= self._due * to_ms(rule.schedule.every):
            self._waiting.append("schedule")
        while rule.schedule is not None and elapsed >= self._due * to_ms(rule.schedule.every):
            self._due += 1

    def _judge(self, rows: NDArray[np.int64], end: int) -> Iterator[SimulatedEvent]:
        """Decide on the challenger's stage, on the rows that both releases scored."""
        champion, challenger = self.champion, self.challenger
        if champion is None or challenger is None:
            return
        rows = rows[self._world.rows.decision_time_ms[rows] >= challenger.since_ms]
        if len(rows):
            label = self._world.rows.label[rows]
            losses = [float(log_loss(release.score[rows], label).sum()) for release in (champion, challenger)]
            challenger.paired.append(PairedBlock(end, losses[0], losses[1], len(rows)))
        step = self._loop.rollout.steps[challenger.step]
        in_stage = [block for block in challenger.paired if block.end_ms > challenger.step_ms]
        if len(in_stage) < step.min_blocks:
            return
        result = gain(in_stage if step.evidence == "stage" else challenger.paired, self._loop)
        yield from self._apply(challenger, step, result, len(in_stage), end)

    def _apply(
        self, challenger: SimulatedRelease, step: Step, result: Gain, blocks: int, end: int
    ) -> Iterator[SimulatedEvent]:
        text = f"{challenger.name} in {step.stage}: {result}"
        if result.lower > step.margin:
            challenger.step, challenger.step_ms = challenger.step + 1, end
            yield SimulatedEvent(end, "better", text)
            if challenger.step == len(self._loop.rollout.steps):
                yield from self._promote(challenger, end)
        elif result.upper < step.margin or blocks >= step.max_blocks:
            yield SimulatedEvent(end, "worse" if result.upper < step.margin else "not known at the limit", text)
            yield SimulatedEvent(end, "refused", f"{challenger.name} ({challenger.reason})", notable=False)
            self._end_chain(end)

    def _train(self, end: int) -> Iterator[SimulatedEvent]:
        reason = min(self._waiting, key=REASONS_BY_PRIORITY.index)
        self._waiting = []
        rule = self._loop.training
        rows = self._world.take(self._world.known(end - to_ms(getattr(rule.window, reason)), end))
        early = rows.decision_time_ms < end - to_ms(rule.validation)
        train, validation = rows.rows(early), rows.rows(~early)
        seed = self._seed + rule.seed + self._runs
        self._runs += 1
        fitted = Trainer().fit(train, validation, parameters=rule.parameters, seed=seed)
        score = fitted.predict(self._world.rows)
        release = SimulatedRelease(f"r{self._runs}", reason, score, end, step_ms=end)
        self.releases.append(release)
        loss, base = self._offline(fitted.predict(validation), train, validation)
        detail = f"{release.name} ({reason}) on {len(train.label)} rows, held out {loss:.4f}, base rate {base:.4f}"
        yield SimulatedEvent(end, "trained", detail, notable=False)
        if loss >= base - self._loop.offline.min_gain_over_base_rate:
            yield SimulatedEvent(end, "refused", f"{release.name} ({reason}): no better than the base rate")
            self._end_chain(end)
        elif self.champion is None:
            yield from self._promote(release, end)
        else:
            self.challenger = release

    @staticmethod
    def _offline(score: Floats, train: TrainingSet, validation: TrainingSet) -> tuple[float, float]:
        base = np.full(len(validation.label), train.label.mean())
        return float(log_loss(score, validation.label).mean()), float(log_loss(base, validation.label).mean())

    def _promote(self, release: SimulatedRelease, end: int) -> Iterator[SimulatedEvent]:
        release.champion_ms = end
        self.champion = release
        self._waiting = [reason for reason in self._waiting if reason != "drift"]
        self._end_chain(end)
        yield SimulatedEvent(end, "promoted", f"{release.name} ({release.reason})")

    def _end_chain(self, end: int) -> None:
        self.challenger = None
        self._free_from = end + to_ms(self._loop.training.cooldown)
