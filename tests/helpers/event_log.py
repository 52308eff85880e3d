"""Lifecycle events of a loop with two champions, an alarm between them, and a rollback by a user."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from driftloop.contracts import control_pb2 as control
from driftloop.contracts import evaluation_pb2 as evaluation
from driftloop.contracts import monitoring_pb2 as monitoring
from driftloop.contracts import registry_pb2 as registry
from driftloop.contracts import serving_pb2 as serving
from driftloop.contracts import training_pb2 as training
from driftloop.events.envelope import Envelope

LOOP = "orders"
DAY_MS = 86_400_000
WALL_MS = 1_700_000_000_000


@dataclass
class EventLog:
    """Events in order of publication, one second of wall time apart."""

    loop: str = LOOP
    events: list[Envelope[Any]] = field(default_factory=list)
    day: int = 1

    def add(self, name: str, data: Any, chain: str, cause: str | None = None) -> Envelope[Any]:
        data.loop = self.loop
        domain = data.DESCRIPTOR.full_name.split(".")[1]
        event: Envelope[Any] = Envelope(
            id=f"{self.loop}:{name}",
            source=f"/driftloop/{domain}",
            type=data.DESCRIPTOR.full_name,
            loop=self.loop,
            time_ms=self.day * DAY_MS,
            wall_time_ms=WALL_MS + 1000 * len(self.events),
            correlation_id=f"{self.loop}:{chain}",
            causation_id=None if cause is None else f"{self.loop}:{cause}",
            traceparent=None,
            data=data,
        )
        self.events.append(event)
        return event

    def window(self, number: int) -> Envelope[Any]:
        self.day = number
        joins = monitoring.JoinCounts(joined=100)
        data = monitoring.WindowClosed(
            window_id=f"w{number}", start_ms=(number - 1) * DAY_MS, end_ms=number * DAY_MS, joins=joins
        )
        return self.add(f"window {number}", data, f"window {number}")

    def decided(self, number: int) -> None:
        for decider in ("detectors", "evaluation", "training"):
            data = monitoring.WindowDecided(window_id=f"w{number}", end_ms=number * DAY_MS, decider=decider)
            self.add(f"{decider} decided {number}", data, f"window {number}", f"window {number}")

    def trained(self, number: int, reason: training.Reason, chain: str, cause: str) -> None:
        run, request = f"run-{number}", f"q-{number}"
        asked = training.RetrainRequested(request_id=request, reasons=[reason])
        self.add(f"request {number}", asked, chain, cause)
        started = training.RunStarted(
            request_id=request, run_id=run, lake_versions={"orders.placed": 7}, view_versions={"orders_shop": 3}
        )
        self.add(f"started {number}", started, chain, f"request {number}")
        bundle = training.Bundle(uri=f"/bundles/{run}", digest=f"{number:064x}")
        done = training.CandidateTrained(request_id=request, run_id=run, bundle=bundle, training_rows=900)
        self.add(f"trained {number}", done, chain, f"started {number}")

    def offline_verdict(self, number: int, chain: str, outcome: evaluation.Outcome = evaluation.BETTER) -> None:
        bundle = training.Bundle(uri=f"/bundles/run-{number}", digest=f"{number:064x}")
        data = evaluation.VerdictReached(
            stage="offline", release_id=f"r-{number}", run_id=f"run-{number}", request_id=f"q-{number}",
            outcome=outcome, bundle=bundle, reasons=["beats the base rate"],
        )  # fmt: skip
        self.add(f"offline {number}", data, chain, f"trained {number}")

    def created(self, number: int, chain: str) -> None:
        bundle = training.Bundle(uri=f"/bundles/run-{number}", digest=f"{number:064x}")
        ref = registry.ReleaseRef(release_id=f"r-{number}", bundle=bundle)
        data = registry.ReleaseCreated(release=ref, run_id=f"run-{number}", request_id=f"q-{number}")
        self.add(f"created {number}", data, chain, f"offline {number}")

    def entered(self, number: int, stage: str, epoch: int, champion: int, cause: str, chain: str, why: str) -> None:
        share = {"shadow": 0.0, "canary": 0.1, "champion": 1.0}.get(stage, 0.0)
        data = registry.StageEntered(
            release_id=f"r-{number}", stage=stage, share=share, epoch=epoch, reason=why,
            champion_release_id=f"r-{champion}" if champion else "",
        )  # fmt: skip
        self.add(f"{stage} {number} at {epoch}", data, chain, cause)

    def routed(self, epoch: int, champion: int, challenger: int, cause: str, chain: str) -> None:
        ref = registry.ReleaseRef(release_id=f"r-{champion}")
        other = registry.ReleaseRef(release_id=f"r-{challenger}") if challenger else None
        data = registry.RouteChanged(epoch=epoch, champion=ref, challenger=other)
        self.add(f"route {epoch}", data, chain, cause)
        answered = serving.RouteConverged(
            epoch=epoch,
            champion_release_id=f"r-{champion}",
            challenger_release_id=f"r-{challenger}" if challenger else "",
            duration_s=0.04,
        )
        self.add(f"converged {epoch}", answered, chain, f"route {epoch}")

    def promoted(self, number: int, before: int, epoch: int, cause: str, chain: str) -> None:
        data = registry.ChampionPromoted(
            release_id=f"r-{number}", previous_release_id=f"r-{before}" if before else "", epoch=epoch
        )
        self.add(f"promoted {number}", data, chain, cause)

    def stage_verdict(self, number: int, stage: str, outcome: evaluation.Outcome, windows: tuple[int, ...]) -> str:
        name = f"{stage} verdict {number}"
        interval = evaluation.Interval(estimate=0.02, lower=0.01, upper=0.03, level=0.95, blocks=len(windows), rows=500)
        data = evaluation.VerdictReached(
            stage=stage, release_id=f"r-{number}", outcome=outcome, interval=interval,
            evidence_ids=[f"{self.loop}:window {each}" for each in windows],
        )  # fmt: skip
        self.add(name, data, "drift", f"{stage} {number} at {2 if stage == 'shadow' else 3}")
        return name


def two_champions(loop: str = LOOP, *, rolled_back: bool = True) -> EventLog:
    """All events: r-1 becomes champion, an alarm on day 5, r-2 becomes champion on day 9, a user rolls it back."""
    log = EventLog(loop)
    log.window(1)
    reason = training.Reason(kind="first-champion", event_id=f"{loop}:window 1")
    log.trained(1, reason, "first", "window 1")
    log.offline_verdict(1, "first")
    log.created(1, "first")
    log.entered(1, "champion", 1, 1, "offline 1", "first", "beats the base rate")
    log.routed(1, 1, 0, "offline 1", "first")
    log.promoted(1, 0, 1, "offline 1", "first")
    log.decided(1)
    for day in range(2, 6):
        log.window(day)
        log.decided(day)
    alarm = monitoring.DriftDetected(
        detector="calibration", mode="trigger", statistic=5.76, threshold=5, blocks=3, episode="w3",
        evidence_ids=[f"{loop}:window {day}" for day in (3, 4, 5)],
    )  # fmt: skip
    log.add("alarm", alarm, "drift", "window 5")
    log.trained(2, training.Reason(kind="drift", event_id=f"{loop}:alarm"), "drift", "alarm")
    log.offline_verdict(2, "drift")
    log.created(2, "drift")
    log.entered(2, "shadow", 2, 1, "offline 2", "drift", "passes the gates")
    log.routed(2, 1, 2, "offline 2", "drift")
    log.window(7)
    verdict = log.stage_verdict(2, "shadow", evaluation.BETTER, (7,))
    log.entered(2, "canary", 3, 1, verdict, "drift", "better in shadow")
    log.routed(3, 1, 2, verdict, "drift")
    log.window(9)
    verdict = log.stage_verdict(2, "canary", evaluation.BETTER, (7, 9))
    log.entered(2, "champion", 4, 2, verdict, "drift", "better in canary")
    log.entered(1, "retired", 4, 2, verdict, "drift", "r-2 is better")
    log.routed(4, 2, 0, verdict, "drift")
    log.promoted(2, 1, 4, verdict, "drift")
    log.decided(7)
    log.decided(9)
    if rolled_back:
        add_rollback(log)
    return log


def add_rollback(log: EventLog) -> None:
    """Add a user's rollback of r-2 to r-1."""
    log.add("command", control.Rollback(who="anna", why="complaints"), "drift")
    why = "rolled back by anna: complaints"
    log.entered(2, "rolled-back", 5, 1, "command", "drift", why)
    log.entered(1, "champion", 5, 1, "command", "drift", f"restored in place of r-2: {why}")
    log.routed(5, 1, 0, "command", "drift")
    data = registry.ReleaseRolledBack(release_id="r-2", from_stage="champion", to_release_id="r-1", reason=why)
    log.add("rolled back 2", data, "drift", "command")
