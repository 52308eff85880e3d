"""Lifecycle events of a loop, written by hand: each method adds the events of one step, on a day of event time."""

from __future__ import annotations

import math
from typing import Any

from google.protobuf.message import Message

from driftloop.contracts import control_pb2 as control
from driftloop.contracts import evaluation_pb2 as evaluation
from driftloop.contracts import monitoring_pb2 as monitoring
from driftloop.contracts import registry_pb2 as registry
from driftloop.contracts import serving_pb2 as serving
from driftloop.contracts import training_pb2 as training
from driftloop.events import ids
from driftloop.events.envelope import Envelope, rfc3339

DAY_MS = 86_400_000
BEGIN_MS = 1_356_998_400_000
"""2013-01-01."""
WALL_MS = 1_700_000_000_000

Event = Envelope[Any]


def at(day: float) -> int:
    """Return the event time of a day, in milliseconds since the epoch."""
    return BEGIN_MS + round(day * DAY_MS)


class LifecycleEvents:
    """Lifecycle events in order of publication, one second of wall time apart."""

    def __init__(self, loop: str = "orders") -> None:
        self.loop = loop
        self.events: list[Event] = []
        self.windows: list[Event] = []
        self._epoch = 0

    def add(self, day: float, data: Message, cause: Event | None = None, chain: str = "") -> Event:
        """Add an event."""
        number = len(self.events)
        identity = ids.event_id(self.loop, data.DESCRIPTOR.name, f"{number}")
        event: Event = Envelope(
            id=identity,
            source="/driftloop/test",
            type=data.DESCRIPTOR.full_name,
            loop=self.loop,
            time_ms=at(day),
            wall_time_ms=WALL_MS + 1000 * number,
            correlation_id=chain or (cause.correlation_id if cause else identity),
            causation_id=cause.id if cause else None,
            traceparent=None,
            data=data,
        )
        self.events.append(event)
        return event

    def window(self, day: int, champion: str, residual: float = 0.0, challenger: str = "", psi: float = 0.02) -> Event:
        """Close the window from ``day`` to the next day: a hundred outcomes, scored by champion and challenger."""
        wave = 0.01 * math.sin(day)
        scored = [_sums(champion, "champion", 0.5 + abs(residual) + wave, residual + wave)]
        paired = []
        if challenger:
            scored.append(_sums(challenger, "challenger", 0.5 + wave, wave))
            paired = [_pair(champion, challenger, day, residual, wave, name) for name in ("", "channel=web")]
        data = monitoring.WindowClosed(
            loop=self.loop,
            window_id=f"{self.loop}/{rfc3339(at(day))}",
            start_ms=at(day),
            end_ms=at(day + 1),
            releases=scored,
            paired=paired,
            histograms=[
                monitoring.Histogram(release_id=champion, name="lines", counts=[40, 50], missing=10, psi=psi),
                monitoring.Histogram(release_id=champion, name="score", counts=[60, 40], missing=0, psi=psi / 2),
            ],
            joins=monitoring.JoinCounts(joined=100, late=3, missing=5),
            predictions=110,
            champion_release_id=champion,
        )
        self.windows.append(self.add(day + 1, data))
        return self.windows[-1]

    def alarm(
        self, day: float, release: str, mode: str = "trigger", detector: str = "returns", blocks: int = 4
    ) -> Event:
        """Add an alarm with the newest windows as evidence."""
        data = monitoring.DriftDetected(
            loop=self.loop,
            detector=detector,
            release_id=release,
            mode=mode,
            episode="e",
            statistic=5.3,
            threshold=4.0,
            blocks=blocks,
            explanation="mean of score - outcome over 4 blocks is +0.2000, 5.30 standard errors from 0",
            evidence_ids=[window.id for window in self.windows[-blocks:]],
        )
        return self.add(day, data)

    def command(self, day: float, data: Message) -> Event:
        """Add a user's command."""
        data.loop = self.loop  # type: ignore[attr-defined]
        return self.add(day, data)

    def approve(self, day: float, release: str) -> Event:
        """Add a user's approval of a release."""
        return self.command(day, control.Approve(release_id=release, who="anna", why="fine"))

    def coalesced(self, day: float, reason: Event, because: str = "release-open") -> Event:
        """Add a reason that was kept for later, or dropped."""
        data = training.ReasonCoalesced(loop=self.loop, reason=_reason(reason, "drift"), because=because)
        return self.add(day, data, reason)

    def request(self, day: float, name: str, *reasons: Event, kind: str = "drift") -> Event:
        """Add a retrain request."""
        data = training.RetrainRequested(
            loop=self.loop,
            request_id=f"q-{name}",
            reasons=[_reason(reason, kind) for reason in reasons],
            window_start_ms=at(day - 8),
            window_end_ms=at(day),
            seed=7,
        )
        opens = reasons[0] if reasons and kind in ("drift", "command") else None
        return self.add(day, data, opens)

    def trained(self, day: float, name: str, request: Event, uri: str = "bundles/none", digest: str = "00") -> Event:
        """Add a run and the candidate that it trained. Return the candidate's event."""
        begun = training.RunStarted(
            loop=self.loop, request_id=f"q-{name}", run_id=f"run-{name}", lake_versions={"orders.placed": 3},
            view_versions={"shop": 2},
        )  # fmt: skip
        data = training.CandidateTrained(
            loop=self.loop,
            request_id=f"q-{name}",
            run_id=f"run-{name}",
            mlflow_run_id="m" * 8,
            bundle=training.Bundle(uri=uri, digest=digest),
            training_rows=1840,
            metrics={"loss": 1.021, "base_loss": 1.212},
            duration_s=6.4,
            reasons=request.data.reasons,
        )
        return self.add(day, data, self.add(day, begun, request))

    def failed(self, day: float, name: str, request: Event) -> Event:
        """Add a failed run."""
        data = training.RunFailed(loop=self.loop, request_id=f"q-{name}", run_id=f"run-{name}", reason="data")
        return self.add(day, data, request)

    def verdict(
        self, day: float, name: str, cause: Event, stage: str = "offline", outcome: str = "BETTER", champion: str = ""
    ) -> Event:
        """Add a verdict."""
        gain = {"BETTER": 0.1, "WORSE": -0.1, "NOT_KNOWN_YET": 0.0}[outcome]
        interval = evaluation.Interval(
            estimate=gain, lower=gain - 0.05, upper=gain + 0.05, level=0.95, blocks=4, rows=400, resamples=4000
        )
        data = evaluation.VerdictReached(
            loop=self.loop,
            stage=stage,
            release_id=f"r-{name}",
            champion_release_id=champion,
            outcome=outcome,
            interval=interval,
            reasons=[f"gain {gain:+.2f}"],
            slices=[evaluation.Slice(name="channel=web", interval=interval)],
            window_end_ms=at(day),
        )
        if stage == "offline":
            data.request_id, data.run_id = f"q-{name}", f"run-{name}"
        return self.add(day, data, cause)

    def entered(self, day: float, name: str, stage: str, cause: Event, champion: str, share: float = 0.0) -> Event:
        """Add the entry of a release into a stage, with the route that follows."""
        self._epoch += 1
        data = registry.StageEntered(
            loop=self.loop, release_id=f"r-{name}", stage=stage, share=share, champion_release_id=champion,
            epoch=self._epoch,
        )  # fmt: skip
        event = self.add(day, data, cause)
        route = registry.RouteChanged(
            loop=self.loop, epoch=self._epoch, champion=registry.ReleaseRef(release_id=champion), stage=stage
        )
        answers = serving.RouteConverged(
            loop=self.loop, epoch=self._epoch, champion_release_id=champion,
            challenger_release_id=f"r-{name}" if stage in ("shadow", "canary") else "",
        )  # fmt: skip
        self.add(day, answers, self.add(day, route, cause))
        return event

    def created(self, day: float, name: str, cause: Event) -> Event:
        """Add the creation of a release."""
        data = registry.ReleaseCreated(
            loop=self.loop, release=registry.ReleaseRef(release_id=f"r-{name}"), request_id=f"q-{name}",
            run_id=f"run-{name}",
        )  # fmt: skip
        return self.add(day, data, cause)

    def promoted(self, day: float, name: str, cause: Event, before: str = "") -> Event:
        """Add the promotion of a release to champion."""
        data = registry.ChampionPromoted(
            loop=self.loop, release_id=f"r-{name}", previous_release_id=before, epoch=self._epoch + 1,
            evidence_ids=[cause.id],
        )  # fmt: skip
        event = self.add(day, data, cause)
        self.entered(day, name, "champion", cause, f"r-{name}", share=1.0)
        return event

    def rejected(self, day: float, name: str, cause: Event, stage: str = "shadow") -> Event:
        """Add the rejection of a release."""
        data = registry.ReleaseRejected(loop=self.loop, release_id=f"r-{name}", stage=stage, reason="no gain; twice")
        return self.add(day, data, cause)

    def rolled_back(self, day: float, name: str, cause: Event, to: str, chain: str = "") -> Event:
        """Add the rollback of a champion, in the chain of its promotion."""
        data = registry.ReleaseRolledBack(
            loop=self.loop, release_id=f"r-{name}", from_stage="champion", to_release_id=to, reason="worse",
            evidence_ids=[cause.id],
        )  # fmt: skip
        return self.add(day, data, None if chain else cause, chain)


def first_champion(life: LifecycleEvents, day: int = 10) -> None:
    """Train and promote ``r-a``."""
    request = life.request(day, "a", life.windows[-1], kind="first-champion")
    verdict = life.verdict(day, "a", life.trained(day, "a", request))
    life.created(day, "a", verdict)
    life.promoted(day, "a", verdict)


def drifting(loop: str = "orders") -> LifecycleEvents:
    """Forty days: first champion on day 10, a scheduled candidate rejected, an alarm on day 24, repaired on day 32."""
    life = LifecycleEvents(loop)
    for day in range(10):
        life.window(day, "")
    first_champion(life)
    for day in range(10, 14):
        life.window(day, "r-a")
    scheduled = life.request(14, "b", life.windows[-1], kind="schedule")
    offline = life.verdict(14, "b", life.trained(14, "b", scheduled), champion="r-a")
    life.created(14, "b", offline)
    shadow = life.entered(14, "b", "shadow", offline, "r-a")
    for day in range(14, 18):
        life.window(day, "r-a", challenger="r-b")
    refused = life.verdict(18, "b", shadow, "shadow", "NOT_KNOWN_YET", "r-a")
    life.entered(18, "b", "rejected", refused, "r-a")
    life.rejected(18, "b", refused)
    life.alarm(19, "r-a", mode="watch", detector="lines", blocks=1)
    for day in range(18, 24):
        life.window(day, "r-a", residual=0.2, psi=0.3)
    alarm = life.alarm(24, "r-a")
    request = life.request(24, "c", alarm)
    offline = life.verdict(24, "c", life.trained(24, "c", request), champion="r-a")
    life.created(24, "c", offline)
    shadow = life.entered(24, "c", "shadow", offline, "r-a")
    for day in range(24, 28):
        life.window(day, "r-a", residual=0.2, challenger="r-c", psi=0.3)
    better = life.verdict(28, "c", shadow, "shadow", champion="r-a")
    canary = life.entered(28, "c", "canary", better, "r-a", share=0.2)
    for day in range(28, 32):
        life.window(day, "r-a", residual=0.2, challenger="r-c", psi=0.3)
    life.promoted(32, "c", life.verdict(32, "c", canary, "canary", champion="r-a"), before="r-a")
    for day in range(32, 40):
        life.window(day, "r-c")
    return life


def _sums(release: str, role: str, loss: float, residual: float) -> monitoring.ReleaseWindow:
    count = 100 if release else 0
    return monitoring.ReleaseWindow(
        release_id=release, role=role, count=count, loss_sum=count * loss, residual_sum=count * residual,
        score_sum=count * (0.4 + residual), outcome_sum=count * 0.4, answered=count,
    )  # fmt: skip


def _pair(champion: str, challenger: str, day: int, residual: float, wave: float, name: str) -> monitoring.PairedBlock:
    count = 100 if not name else 60
    return monitoring.PairedBlock(
        champion_release_id=champion, challenger_release_id=challenger, block_start_ms=at(day), count=count,
        champion_loss_sum=count * (0.5 + abs(residual) + wave), challenger_loss_sum=count * (0.5 + wave), slice=name,
    )  # fmt: skip


def _reason(event: Event, kind: str) -> training.Reason:
    return training.Reason(kind=kind, event_id=event.id, event_time_ms=event.time_ms, detail="why")
