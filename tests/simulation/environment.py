"""What surrounds the lifecycle services in a simulation: training processes, the router, closed windows and users."""

from __future__ import annotations

from dataclasses import dataclass, field
from random import Random

from google.protobuf.message import Message

from driftloop.bus.ports import Outgoing
from driftloop.contracts import control_pb2 as control
from driftloop.contracts import features_pb2 as features
from driftloop.contracts import ingestion_pb2 as ingestion
from driftloop.contracts import monitoring_pb2 as monitoring
from driftloop.events import ids
from driftloop.events.envelope import Draft, from_draft, rfc3339, to_record
from driftloop.events.verdict_outcome import VerdictOutcome
from driftloop.loop.definition import LoopDefinition
from driftloop.process.errors import Retriable
from services.evaluation.domain.judgement import Judgement
from services.evaluation.offline_evaluation import Judge
from services.evaluation.ports import Candidate
from services.serving.domain.desired import DesiredRoute
from services.serving.domain.route import Route, is_newer
from services.serving.route_deployer import RouteDeployer, RouteRefused
from services.training.ports import Observation
from services.training.spec import Failed, Result, RunSpec, Trained
from tests.simulation.scheduler import Scheduler

LOOP = "orders"
DAY_MS = 86_400_000
BEGIN_MS = 1_356_998_400_000
"""2013-01-01."""
RUN_MS = 60_000
"""Wall time that a training run takes."""


def share(*parts: str) -> float:
    """Return a number in [0, 1) that follows from the parts."""
    return Random("/".join(parts)).random()


class SeededJudge(Judge):
    """Accepts three of four candidates, by their release id."""

    def judge(
        self, loop: LoopDefinition, candidate: Candidate, holdout_uri: str, champion: Candidate | None, subject: str
    ) -> Judgement:
        accepts = share("offline", candidate.release_id) < 0.75
        return Judgement(VerdictOutcome.BETTER if accepts else VerdictOutcome.WORSE, ("by its id",))


@dataclass
class Process:
    """A training process."""

    ends_ms: int
    result: Result | None
    stopped: bool = False


@dataclass
class SimulatedLauncher:
    """`services.training.ports.Launcher`: processes that outlive the service that started them."""

    scheduler: Scheduler
    processes: dict[str, Process] = field(default_factory=dict)
    launches: list[str] = field(default_factory=list)
    """Run of each process that was started."""
    calm: bool = False
    start_limit_s: float = 0.0
    outlives_service: bool = False

    def launch(self, spec: RunSpec) -> None:
        self.scheduler.pause("launch")
        now_ms = self.scheduler.now_ms()
        running = self.processes.get(spec.folder)
        if running is not None and now_ms < running.ends_ms:
            return
        self.launches.append(spec.run_id)
        length_ms = RUN_MS
        chance = share("run", spec.run_id, str(len(self.launches)))
        result: Result | None = Trained(
            f"mlflow-{spec.run_id}", f"bundles/{spec.run_id}", "d1gest", "holdout", 100, 60.0
        )
        if chance < 0.1:
            result = Failed("data", "too few rows")
        elif chance < 0.2 and not self.calm:
            result, length_ms = None, RUN_MS // 3
        elif chance < 0.25 and not self.calm:
            length_ms = 100 * RUN_MS
        self.processes[spec.folder] = Process(now_ms + length_ms, result)

    def observe(self, spec: RunSpec) -> Observation:
        self.scheduler.pause("observe")
        process = self.processes.get(spec.folder)
        if process is None or (process.result is None and self.scheduler.now_ms() >= process.ends_ms):
            return Observation("absent")
        if self.scheduler.now_ms() < process.ends_ms:
            return Observation("running", memory_mib=100.0)
        return Observation("ended", result=process.result)

    def stop(self, spec: RunSpec) -> None:
        self.scheduler.pause("stop")
        process = self.processes.get(spec.folder)
        if process is not None and self.scheduler.now_ms() < process.ends_ms:
            process.ends_ms, process.result = self.scheduler.now_ms(), None

    def close(self) -> None: ...


@dataclass
class SimulatedRouter:
    """Triton and its router; it follows routes by the router's own rule and keeps the last one."""

    scheduler: Scheduler
    route: Route | None = None
    newest_seen: int = 0
    served: list[int] = field(default_factory=list)
    """Epochs in the order in which they answered."""
    calm: bool = False

    def live(self) -> bool:
        return True

    def model_ready(self, model: str) -> bool:
        return self.route is not None


class SimulatedDeployer(RouteDeployer):
    """Deploys routes to a `SimulatedRouter`. One of ten releases cannot be loaded."""

    def __init__(self, router: SimulatedRouter) -> None:
        object.__setattr__(self, "router", router)

    def deploy(self, desired: DesiredRoute, withdraws: int = 0) -> str:
        router: SimulatedRouter = self.router  # type: ignore[attr-defined]
        router.scheduler.pause("deploy")
        route = desired.route
        if not router.calm and router.scheduler.random.random() < 0.1:
            raise Retriable("Triton does not answer")
        for ref in route.releases:
            if share("load", ref.release_id) < 0.1:
                raise RouteRefused(ref.release_id, "it cannot be loaded")
        offered = Route(route.loop, route.epoch, route.champion, route.challenger, route.challenger_share, withdraws)
        serving = router.route.epoch if router.route else 0
        if is_newer(offered, serving, router.newest_seen) or route.epoch == serving:
            router.route, router.newest_seen = offered, max(router.newest_seen, route.epoch)
            router.served.append(route.epoch)
            return f"probe-{route.epoch}"
        raise RouteRefused(desired.blamed_release_id, "the router did not serve the route")

    def remove(self, loop: str) -> None:
        router: SimulatedRouter = self.router  # type: ignore[attr-defined]
        router.scheduler.pause("remove")
        router.route = None


def record(
    data: Message, *, source: str, time_ms: int, wall_ms: int, parts: tuple[str | int, ...], chain: str = ""
) -> Outgoing:
    """Return the record of an event from outside the simulated services."""
    loop: str = data.loop  # type: ignore[attr-defined]
    draft = Draft(ids.event_id(data.DESCRIPTOR.full_name, *parts), loop, time_ms, data, chain=chain or None)
    return to_record(from_draft(draft, source=source, wall_time_ms=wall_ms, cause=None, traceparent=None))


class World:
    """The loop's data: which release answers how well. Each concept makes releases trained before it worse."""

    def __init__(self, random: Random, router: SimulatedRouter) -> None:
        self._random = random
        self._router = router
        self._concept_of: dict[str, int] = {}
        self._concept = 0
        self.windows = 0

    def close_window(self, wall_ms: int) -> list[Outgoing]:
        """Return the next window-closed event, and those of the lake and the views up to its end."""
        random, start_ms = self._random, BEGIN_MS + self.windows * DAY_MS
        self._concept += random.random() < 0.15
        self.windows += 1
        window = monitoring.WindowClosed(
            loop=LOOP, window_id=f"{LOOP}/{rfc3339(start_ms)}", start_ms=start_ms, end_ms=start_ms + DAY_MS
        )
        route = self._router.route
        if route is not None:
            self._add_releases(window, route)
        end_ms, name = window.end_ms, window.window_id
        lake = ingestion.LakeFlushed(loop=LOOP, watermark_ms=end_ms)
        views = features.OfflineFlushed(loop=LOOP, watermark_ms=end_ms)
        return [
            record(window, source="monitoring", time_ms=end_ms, wall_ms=wall_ms, parts=(name,)),
            record(lake, source="ingestion", time_ms=end_ms, wall_ms=wall_ms, parts=(name,)),
            record(views, source="features", time_ms=end_ms, wall_ms=wall_ms, parts=(name,)),
        ]

    def _add_releases(self, window: monitoring.WindowClosed, route: Route) -> None:
        residuals = [self._residual(ref.release_id) for ref in route.releases]
        for ref, role, residual in zip(route.releases, ("champion", "challenger"), residuals, strict=False):
            sums = {"loss_sum": 100 * (0.5 + abs(residual)), "residual_sum": 100 * residual}
            window.releases.add(release_id=ref.release_id, role=role, count=100, **sums)
        window.champion_release_id = route.champion.release_id
        window.predictions = 100
        if route.challenger is not None:
            window.paired.add(
                champion_release_id=route.champion.release_id,
                challenger_release_id=route.challenger.release_id,
                block_start_ms=window.start_ms,
                count=100,
                champion_loss_sum=window.releases[0].loss_sum,
                challenger_loss_sum=window.releases[1].loss_sum,
            )

    def _residual(self, release_id: str) -> float:
        known = self._concept_of.setdefault(release_id, self._concept)
        own = 0.3 * (share("bias", release_id) - 0.5)
        return (0.4 if known < self._concept else 0.0) + own + self._random.gauss(0.0, 0.02)


class Users:
    """People who send commands, some of them too late or about the wrong release."""

    def __init__(self, random: Random) -> None:
        self._random = random
        self._sent = 0

    def command(self, name: str, time_ms: int, wall_ms: int, release_id: str = "", chain: str = "") -> Outgoing:
        """Return the record of a command."""
        self._sent += 1
        kinds: dict[str, type[Message]] = {
            "approve": control.Approve,
            "reject": control.Reject,
            "rollback": control.Rollback,
            "pause": control.Pause,
            "resume": control.Resume,
            "retrain": control.Retrain,
        }
        about = {"release_id": release_id} if name in ("approve", "reject") else {}
        data = kinds[name](loop=LOOP, who="user", why="to see", **about)
        return record(data, source="control", time_ms=time_ms, wall_ms=wall_ms, parts=(self._sent,), chain=chain)
