"""Lifecycle events of a loop over two months: two champions, drift, a rejection, a release that waits for approval."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from driftloop.contracts import control_pb2 as control
from driftloop.contracts import evaluation_pb2 as evaluation
from driftloop.contracts import monitoring_pb2 as monitoring
from driftloop.contracts import registry_pb2 as registry
from driftloop.contracts import serving_pb2 as serving
from driftloop.contracts import training_pb2 as training
from driftloop.events.envelope import Envelope
from services.control.web.plans import Plan, PlannedStage
from tests.helpers.event_log import DAY_MS, EventLog

PLAN = Plan(
    steps=(PlannedStage("shadow", 0.0, 4, 12, 0.0, True), PlannedStage("canary", 0.2, 3, 8, -0.02, False)),
    level=0.95,
    loss="Poisson deviance",
    thresholds={"lines": 0.5},
    slices={"channel": 30},
)
FIRST_DAY = 19_783
"""1 March 2024, in days since 1970."""
_INPUTS = ("lines", "basket_cents", "channel_share", "shop_items_back_7d", "shop_inspected_7d", "market_items_back_1d")
_SHIFT_DAY = 24
_SLICES = (("", 400, 0.725), ("channel=shop", 100, 0.8), ("channel=web", 300, 0.7), ("channel=fax", 0, 0.0))
"""Name, outcomes and loss."""


@dataclass
class LoopEvents(EventLog):
    """Events of a loop, day by day; day 0 is `FIRST_DAY`."""

    champion: str = ""
    challenger: str = ""
    challenger_chain: str = ""
    epoch: int = 0
    random: np.random.Generator = field(default_factory=lambda: np.random.default_rng(7))

    def close_window(self, number: int) -> Envelope[Any]:
        """Close the window of a day and let every decider finish with it."""
        self.day = FIRST_DAY + number
        releases = [self._quality(self.champion, "champion", number)] if self.champion else []
        releases += [self._quality(self.challenger, "challenger", number)] if self.challenger else []
        data = monitoring.WindowClosed(
            window_id=f"{self.loop}/{number}", start_ms=(self.day - 1) * DAY_MS, end_ms=self.day * DAY_MS,
            releases=releases, joins=monitoring.JoinCounts(joined=400 if releases else 0, missing=9), predictions=420,
            champion_release_id=self.champion, histograms=self._drift(number) if self.champion else [],
            slices=self._slices() if self.champion else [],
        )  # fmt: skip
        event = self.add(f"window {number}", data, f"window {number}")
        for decider in ("detectors", "evaluation", "training"):
            decided = monitoring.WindowDecided(window_id=data.window_id, end_ms=data.end_ms, decider=decider)
            self.add(f"{decider} decided {number}", decided, f"window {number}", f"window {number}")
        return event

    def _slices(self) -> list[monitoring.SliceWindow]:
        return [
            monitoring.SliceWindow(
                release_id=self.champion, slice=name, count=count, loss_sum=count * loss,
                score_sum=0.5 * count, outcome_sum=0.4 * count,
            )
            for name, count, loss in _SLICES
        ]  # fmt: skip

    def train_candidate(self, name: str, kind: str, chain: str, cause: str) -> None:
        """Request and train a candidate that passes the offline gates."""
        run, request = f"run-{name[2:]}", f"request-{name[2:]}"
        reason = training.Reason(kind=kind, event_id=f"{self.loop}:{cause}", event_time_ms=self.day * DAY_MS)
        requested = training.RetrainRequested(
            request_id=request,
            reasons=[reason],
            window_start_ms=(self.day - 10) * DAY_MS,
            window_end_ms=self.day * DAY_MS,
        )
        is_root = kind in ("first-champion", "schedule")
        self.add(f"asked {name}", requested, chain, None if is_root else cause)
        started = training.RunStarted(
            request_id=request, run_id=run, lake_versions={"orders.placed": self.day - FIRST_DAY}
        )
        self.add(f"started {name}", started, chain, f"asked {name}")
        bundle = training.Bundle(uri=f"/bundles/{run}", digest=f"{int(name[2:], 16):064x}")
        done = training.CandidateTrained(
            request_id=request, run_id=run, bundle=bundle, training_rows=9_214, duration_s=6.2,
            metrics={"loss": 0.472, "base_loss": 0.611},
        )  # fmt: skip
        self.add(f"trained {name}", done, chain, f"started {name}")
        self.reach_verdict(
            name, "offline", evaluation.BETTER, (0.139, 0.121, 0.158), 3, chain, f"trained {name}",
            request_id=request, run_id=run, bundle=bundle, reasons=["gain over the base rate +0.1390, asked for 0"],
        )  # fmt: skip
        ref = registry.ReleaseRef(release_id=name, bundle=bundle)
        created = registry.ReleaseCreated(release=ref, run_id=run, request_id=request)
        self.add(f"created {name}", created, chain, f"offline {name} 3")

    def reach_verdict(
        self, name: str, stage: str, outcome: evaluation.Outcome, gain: tuple[float, float, float] | None, blocks: int,
        chain: str, cause: str, **more: Any,
    ) -> str:  # fmt: skip
        """Add a verdict and return its event name; ``gain`` is estimate, lower and upper end."""
        interval = evaluation.Interval(level=0.95)
        if gain is not None:
            estimate, lower, upper = gain
            interval = evaluation.Interval(
                estimate=estimate,
                lower=lower,
                upper=upper,
                level=0.95,
                blocks=blocks,
                rows=400 * blocks,
                resamples=4000,
            )
        step = {"shadow": 0, "canary": 1}.get(stage, -1)
        data = evaluation.VerdictReached(
            stage=stage, release_id=name, champion_release_id=self.champion, outcome=outcome, interval=interval,
            metrics={"stage_blocks": blocks}, step=step, **more,
        )  # fmt: skip
        self.add(f"{stage} {name} {blocks}", data, chain, cause)
        return f"{stage} {name} {blocks}"

    def enter_stage(self, name: str, stage: str, chain: str, cause: str, reason: str) -> None:
        """Let a release enter a stage and the router apply the route."""
        self.epoch += 1
        is_open = stage in ("shadow", "canary")
        self.challenger, self.challenger_chain = (name, chain) if is_open else ("", "")
        previous, self.champion = self.champion, name if stage == "champion" else self.champion
        share = {"canary": 0.2, "champion": 1.0}.get(stage, 0.0)
        data = registry.StageEntered(
            release_id=name,
            stage=stage,
            share=share,
            epoch=self.epoch,
            champion_release_id=self.champion,
            reason=reason,
        )
        self.add(f"{stage} {name} at {self.epoch}", data, chain, cause)
        if stage == "champion" and previous:
            retired = registry.StageEntered(
                release_id=previous,
                stage="retired",
                epoch=self.epoch,
                champion_release_id=name,
                reason=f"{name} is better",
            )
            self.add(f"retired {previous} at {self.epoch}", retired, chain, cause)
        self._change_route(chain, cause)
        if stage == "champion":
            promoted = registry.ChampionPromoted(release_id=name, previous_release_id=previous, epoch=self.epoch)
            self.add(f"promoted {name}", promoted, chain, cause)
        if stage == "rejected":
            rejected = registry.ReleaseRejected(release_id=name, stage="shadow", reason=reason)
            self.add(f"ended {name}", rejected, chain, cause)

    def _change_route(self, chain: str, cause: str) -> None:
        challenger = registry.ReleaseRef(release_id=self.challenger) if self.challenger else None
        champion = registry.ReleaseRef(release_id=self.champion)
        data = registry.RouteChanged(epoch=self.epoch, champion=champion, challenger=challenger)
        self.add(f"route {self.epoch}", data, chain, cause)
        self.add(f"answers {self.epoch}", _converged(data), chain, f"route {self.epoch}")

    def _quality(self, name: str, role: str, number: int) -> monitoring.ReleaseWindow:
        """The loss of the first champion grows after the shift."""
        is_stale = name == FIRST and number > _SHIFT_DAY
        loss = 0.47 + (min(0.17, 0.03 * (number - _SHIFT_DAY)) if is_stale else 0.0) + (0.05 if name == WORSE else 0.0)
        loss += 0.016 * self.random.standard_normal()
        return monitoring.ReleaseWindow(release_id=name, role=role, count=400, loss_sum=400 * loss, answered=400)

    def _drift(self, number: int) -> list[monitoring.Histogram]:
        """Two inputs drift from the training data of the first champion; the second is trained on the new data."""
        days = max(0, number - _SHIFT_DAY) if self.champion == FIRST else 0
        psi = {"lines": 0.11 * days, "basket_cents": 0.06 * days, "score": 0.04 * days}
        return [
            monitoring.Histogram(
                release_id=self.champion, name=name, psi=psi.get(name, 0.0) + 0.02 + 0.02 * self.random.random()
            )
            for name in (*_INPUTS, "score")
        ]


def _converged(route: registry.RouteChanged) -> serving.RouteConverged:
    return serving.RouteConverged(
        epoch=route.epoch, champion_release_id=route.champion.release_id,
        challenger_release_id=route.challenger.release_id, duration_s=0.041,
    )  # fmt: skip


FIRST, SECOND, WORSE, PENDING = "r-4c1f90d2a7e3", "r-9be27f0c5d18", "r-07d4c8e6b2f1", "r-e35a61b8094c"
UNKNOWN, BETTER = evaluation.NOT_KNOWN_YET, evaluation.BETTER


def history_with_open_approval(loop: str = "orders") -> LoopEvents:
    """Return the whole history; it ends with a release in shadow that waits for approval of its canary stage."""
    history = LoopEvents(loop)
    for number in range(2, 11):
        history.close_window(number)
    history.train_candidate(FIRST, "first-champion", "first", "window 10")
    history.enter_stage(
        FIRST, "champion", "first", f"offline {FIRST} 3", "gain over the base rate +0.1390, asked for 0"
    )
    for number in range(11, 30):
        history.close_window(number)
    alarm = monitoring.DriftDetected(
        detector="returns", mode="trigger", statistic=5.76, threshold=4, blocks=10, episode="orders/25",
        release_id=FIRST,
        explanation="outcomes are above scores by 0.9 items a parcel",
        evidence_ids=[f"{loop}:window {number}" for number in range(20, 30)],
    )  # fmt: skip
    history.add("alarm", alarm, "drift", None)
    history.train_candidate(SECOND, "drift", "drift", "alarm")
    history.enter_stage(
        SECOND, "shadow", "drift", f"offline {SECOND} 3", "gain over the base rate +0.1390, asked for 0"
    )
    _run_stage(history, SECOND, "shadow", 30, [(0.071, -0.02, 0.16), (0.094, 0.01, 0.17), (0.102, 0.05, 0.158)], BETTER)
    history.enter_stage(
        SECOND, "canary", "drift", f"shadow {SECOND} 4", "gain +0.1020 [+0.0500, +0.1580] over 4 blocks"
    )
    _run_stage(history, SECOND, "canary", 34, [(0.108, 0.063, 0.151), (0.113, 0.075, 0.149)], BETTER)
    history.enter_stage(
        SECOND, "champion", "drift", f"canary {SECOND} 3", "gain +0.1130 [+0.0750, +0.1490] over 3 blocks"
    )
    for number in range(37, 49):
        history.close_window(number)
    history.train_candidate(WORSE, "schedule", "schedule", "window 48")
    history.enter_stage(
        WORSE, "shadow", "schedule", f"offline {WORSE} 3", "gain over the base rate +0.1390, asked for 0"
    )
    _run_stage(
        history,
        WORSE,
        "shadow",
        49,
        [(-0.041, -0.1, 0.02), (-0.048, -0.09, 0.0), (-0.052, -0.081, -0.021)],
        evaluation.WORSE,
    )
    history.enter_stage(
        WORSE, "rejected", "schedule", f"shadow {WORSE} 4", "gain -0.0520 [-0.0810, -0.0210] over 4 blocks"
    )
    for number in range(53, 58):
        history.close_window(number)
    history.add("retrain", control.Retrain(who="anna", why="new shops since April"), "command")
    history.train_candidate(PENDING, "command", "command", "retrain")
    history.enter_stage(
        PENDING, "shadow", "command", f"offline {PENDING} 3", "gain over the base rate +0.1390, asked for 0"
    )
    _run_stage(
        history,
        PENDING,
        "shadow",
        58,
        [(0.012, -0.021, 0.048), (0.017, -0.006, 0.041), (0.0204, 0.0049, 0.0362)],
        BETTER,
    )
    approval = registry.ApprovalRequested(
        release_id=PENDING, to_stage="canary", deadline_ms=(history.day + 12) * DAY_MS
    )
    history.add("waits", approval, "command", f"shadow {PENDING} 4")
    return history


def history_without_champion(loop: str) -> LoopEvents:
    """Return a history of four windows, before the first champion."""
    history = LoopEvents(loop)
    for number in range(55, 59):
        history.close_window(number)
    return history


def _run_stage(
    history: LoopEvents,
    name: str,
    stage: str,
    first: int,
    gains: list[tuple[float, float, float]],
    decision: evaluation.Outcome,
) -> None:
    """Add a window and a verdict per day; one block alone has no interval, and only the last verdict is a decision."""
    verdicts: list[tuple[float, float, float] | None] = [None, *gains] if stage == "shadow" else [gains[0], *gains]
    for n, gain in enumerate(verdicts):
        history.close_window(first + n)
        outcome = decision if n == len(verdicts) - 1 else UNKNOWN
        cause = f"{stage} {name} {n}" if n else f"{stage} {name} at {history.epoch}"
        summary = f"gain {gain[0]:+.4f} [{gain[1]:+.4f}, {gain[2]:+.4f}] over {n + 1} blocks" if gain else "1 block"
        history.reach_verdict(
            name, stage, outcome, gain, n + 1, history.challenger_chain, cause, reasons=[f"{summary}; the margin is 0"]
        )
