"""Evaluation and registry on one broker: from candidates and windows to a promotion."""

from __future__ import annotations

import asyncio
import threading
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from google.protobuf.message import Message
from sqlalchemy import Engine

from driftloop.contracts import control_pb2 as control
from driftloop.contracts import evaluation_pb2 as evaluation
from driftloop.contracts import monitoring_pb2 as monitoring
from driftloop.contracts import registry_pb2 as registry
from driftloop.contracts import serving_pb2 as serving
from driftloop.contracts import training_pb2 as training
from driftloop.contracts.topics import declared, message_class, topic_of
from driftloop.events import ids
from driftloop.events.envelope import Draft, Envelope, from_draft, from_record, to_record
from driftloop.runner.handler import HandlerTable
from driftloop.runner.service import LifecycleService, topics_of
from driftloop.runner.tables import open_database
from services.evaluation.adapters import sql as evaluation_sql
from services.evaluation.handlers import Evaluation
from services.evaluation.handlers import table as evaluation_table
from services.evaluation.offline_evaluation import Judge
from services.registry.adapters import sql as registry_sql
from services.registry.handlers import Registry, rollout_policy
from services.registry.handlers import table as registry_table
from tests.helpers.clock import FakeClock
from tests.helpers.memory_broker import MemoryBroker
from tests.unit.evaluation.definitions import DAY_MS, STEPS, loop_definition
from tests.unit.evaluation.fakes import FakeBundles, FakeHoldout, FakeHoldouts, FakeScorer

LOOP = "orders"
OLD, NEW = (ids.short_id("r", LOOP, run) for run in ("old", "new"))
_ALL = (
    evaluation.VerdictReached,
    monitoring.WindowDecided,
    registry.ReleaseCreated,
    registry.StageEntered,
    registry.ApprovalRequested,
    registry.RouteChanged,
    registry.ChampionPromoted,
    registry.ReleaseRejected,
    registry.ReleaseRolledBack,
)


class System:
    """Both services on one broker, with their databases."""

    def __init__(self, folder: Path, steps: list[dict[str, Any]] | None = None) -> None:
        self.broker = MemoryBroker()
        for topic in declared().values():
            self.broker.create_topic(topic.name)
            self.broker.create_topic(f"{topic.name}.dlq")
        loop = loop_definition(steps=steps)
        bundles = FakeBundles(
            {"/b/old": FakeScorer(weight=0.9), "/b/new": FakeScorer(), "/b/bad": FakeScorer(weight=0.0)}
        )
        holdouts = FakeHoldouts(
            {
                f"/h/{run}": FakeHoldout(recorded_weight=weight)
                for run, weight in (("old", 0.9), ("new", 1.0), ("bad", 0.0))
            }
        )
        clock = FakeClock(tick_s=0.001)
        judge = Judge(bundles, holdouts, clock)
        self.tables: dict[str, HandlerTable] = {
            "evaluation": evaluation_table(Evaluation({LOOP: loop}, judge, clock, evaluation_sql.SqlState)),
            "registry": registry_table(Registry({LOOP: rollout_policy(loop)}, registry_sql.SqlLedger)),
        }
        self.engines: dict[str, Engine] = {
            "evaluation": open_database(f"sqlite:///{folder / 'evaluation.db'}", evaluation_sql.metadata),
            "registry": open_database(f"sqlite:///{folder / 'registry.db'}", registry_sql.metadata),
        }

    @asynccontextmanager
    async def running(self, groups: str = "") -> AsyncIterator[None]:
        """Run both services in consumer groups with this suffix; a new suffix reads the log again."""
        stop = threading.Event()
        tasks = [asyncio.create_task(self._service(name, name + groups, stop).run()) for name in self.tables]
        try:
            yield
        finally:
            stop.set()
            await asyncio.gather(*tasks)

    def send(self, data: Message, time_ms: int, event_id: str = "") -> None:
        """Publish an event that starts its own chain."""
        draft = Draft(event_id or ids.event_id(type(data).__name__, time_ms, str(data)), LOOP, time_ms, data)
        self.broker.append([to_record(from_draft(draft, source="test", wall_time_ms=0, cause=None, traceparent=None))])

    def events(self, *kinds: type[Message]) -> list[Envelope[Any]]:
        """Return all events of these kinds."""
        return [
            from_record(record, [message_class(name) for name in topic_of(kind).messages])
            for kind in kinds
            for record in self.broker.records(topic_of(kind).name)
        ]

    async def until(self, condition: Callable[[], bool]) -> None:
        """Wait until the condition is true, up to a limit."""
        async with asyncio.timeout(60):
            while not condition():  # noqa: ASYNC110  # the in-memory broker has no notification
                await asyncio.sleep(0.01)

    async def close_window(self, day: int, gain: float) -> None:
        """Close a window with this gain of the new release over the old one, and wait for the events."""
        pair = monitoring.PairedBlock(
            champion_release_id=OLD,
            challenger_release_id=NEW,
            block_start_ms=day * DAY_MS,
            count=100,
            champion_loss_sum=50.0 + day % 2,
            challenger_loss_sum=50.0 - 100 * gain,
        )
        window = monitoring.WindowClosed(
            loop=LOOP, window_id=f"w-{day}", start_ms=day * DAY_MS, end_ms=(day + 1) * DAY_MS, paired=[pair]
        )
        self.send(window, (day + 1) * DAY_MS, f"closed-{day}")
        await self.until(
            lambda: f"w-{day}" in [event.data.window_id for event in self.events(monitoring.WindowDecided)]
        )
        await self.until(self.at_rest)

    async def train(self, run: str, day: int) -> None:
        """Publish a trained candidate and wait for the events."""
        data = training.CandidateTrained(
            loop=LOOP,
            request_id=f"request-{run}",
            run_id=run,
            bundle=training.Bundle(uri=f"/b/{run}", digest="digest"),
            holdout_uri=f"/h/{run}",
        )
        self.send(data, day * DAY_MS, f"trained-{run}")
        await self.until(lambda: run in [event.data.run_id for event in self.events(evaluation.VerdictReached)])
        await self.until(self.at_rest)

    def at_rest(self) -> bool:
        """Return whether both services have handled all records."""
        for name, handlers in self.tables.items():
            ends = {topic: len(self.broker.records(topic)) for topic in topics_of(handlers)}
            done = {partition.topic: offset for partition, offset in self.broker.committed(name).items()}
            if any(done.get(topic, 0) < end for topic, end in ends.items()):
                return False
        return True

    def stages(self) -> list[tuple[str, str, int]]:
        """Return release, stage and epoch of each stage change, in order."""
        return [(e.data.release_id, e.data.stage, e.data.epoch) for e in self.events(registry.StageEntered)]

    def dispose(self) -> None:
        for engine in self.engines.values():
            engine.dispose()

    def _service(self, name: str, group: str, stop: threading.Event) -> LifecycleService:
        return LifecycleService(
            name=name,
            handlers=self.tables[name],
            engine=self.engines[name],
            consumer=self.broker.lifecycle_consumer(topics_of(self.tables[name]), group),
            producer=self.broker.lifecycle_producer(),
            stop=stop,
            clock=FakeClock(tick_s=0.001),
        )


async def publish_a_promotion(system: System) -> None:
    """Publish a first champion, a rejected candidate, then one that passes shadow and canary."""
    await system.train("old", 7)
    await system.train("bad", 9)
    await system.train("new", 10)
    for day in range(10, 15):
        await system.close_window(day, 0.1)


async def test_a_candidate_passes_shadow_and_canary_and_becomes_champion(tmp_path: Path) -> None:
    system = System(tmp_path)
    async with system.running():
        await publish_a_promotion(system)
    assert system.stages() == [
        (OLD, "champion", 1),
        (NEW, "shadow", 2),
        (NEW, "canary", 3),
        (NEW, "champion", 4),
        (OLD, "retired", 4),
    ]
    routes = [
        (e.data.epoch, e.data.challenger.release_id, e.data.challenger_share)
        for e in system.events(registry.RouteChanged)
    ]
    assert routes == [(1, "", 0.0), (2, NEW, 0.0), (3, NEW, 0.1), (4, "", 0.0)]
    assert [event.data.stage for event in system.events(registry.ReleaseRejected)] == ["offline"]
    system.dispose()


async def test_all_events_of_a_release_have_its_candidates_chain(tmp_path: Path) -> None:
    system = System(tmp_path)
    async with system.running():
        await publish_a_promotion(system)
    chain = [event for event in system.events(*_ALL) if event.correlation_id == "trained-new"]
    assert Counter(type(event.data).__name__ for event in chain) == {
        "VerdictReached": 6,
        "ReleaseCreated": 1,
        "StageEntered": 4,
        "RouteChanged": 3,
        "ChampionPromoted": 1,
    }
    promoted = next(e for e in chain if isinstance(e.data, registry.ChampionPromoted))
    verdicts = {event.id: event.data for event in system.events(evaluation.VerdictReached)}
    known = {*verdicts, *(f"closed-{day}" for day in range(10, 15))}
    assert promoted.causation_id in verdicts
    assert set(promoted.data.evidence_ids) <= known
    assert promoted.time_ms == 15 * DAY_MS
    system.dispose()


async def test_every_window_is_decided_once_and_names_its_verdict(tmp_path: Path) -> None:
    system = System(tmp_path)
    async with system.running():
        await publish_a_promotion(system)
        await system.close_window(15, 0.0)
    decided = {event.data.window_id: list(event.data.opened) for event in system.events(monitoring.WindowDecided)}
    verdicts = {event.id for event in system.events(evaluation.VerdictReached)}
    assert len(system.events(monitoring.WindowDecided)) == len(decided) == 6
    assert [len(decided[f"w-{day}"]) for day in range(10, 16)] == [1, 1, 1, 1, 1, 0]
    assert {verdict_id for opened in decided.values() for verdict_id in opened} <= verdicts
    system.dispose()


async def test_reading_the_log_again_changes_nothing(tmp_path: Path) -> None:
    system = System(tmp_path)
    async with system.running():
        await publish_a_promotion(system)
    before = [event.id for event in system.events(*_ALL)]
    system.broker.forget_commits()
    async with system.running():
        await system.until(system.at_rest)
    assert [event.id for event in system.events(*_ALL)] == before
    system.dispose()


async def test_the_same_log_gives_the_same_events(tmp_path: Path) -> None:
    runs = []
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        system = System(tmp_path / name)
        async with system.running():
            await publish_a_promotion(system)
        runs.append([(e.id, e.time_ms, e.correlation_id, e.causation_id) for e in system.events(*_ALL)])
        system.dispose()
    assert runs[0] == runs[1]
    assert len({event[0] for event in runs[0]}) == len(runs[0])


@pytest.mark.parametrize("gain", [-0.3, 0.0])
async def test_a_worse_or_undecided_challenger_is_rejected(tmp_path: Path, gain: float) -> None:
    system = System(tmp_path, [{**STEPS[0], "margin": 0.0}])
    async with system.running():
        await system.train("old", 7)
        await system.train("new", 10)
        for day in range(10, 16):
            await system.close_window(day, gain if gain else 0.5 * (-1) ** (day // 2))
    assert system.stages()[-1] == (NEW, "rejected", 3)
    assert system.events(registry.RouteChanged)[-1].data.epoch == 3
    assert not system.events(registry.RouteChanged)[-1].data.HasField("challenger")
    system.dispose()


async def test_a_user_rolls_back_a_promotion(tmp_path: Path) -> None:
    system = System(tmp_path)
    async with system.running():
        await publish_a_promotion(system)
        system.send(control.Rollback(loop=LOOP, who="ann", why="complaints"), 16 * DAY_MS)
        await system.until(lambda: bool(system.events(registry.ReleaseRolledBack)))
        await system.until(system.at_rest)
    assert system.stages()[-2:] == [(NEW, "rolled-back", 5), (OLD, "champion", 5)]
    system.dispose()


async def test_a_failed_route_rejects_its_release(tmp_path: Path) -> None:
    system = System(tmp_path)
    async with system.running():
        await system.train("old", 7)
        await system.train("new", 10)
        system.send(serving.RouteFailed(loop=LOOP, epoch=2, release_id=NEW, reason="no probe"), 10 * DAY_MS)
        await system.until(lambda: bool(system.events(registry.ReleaseRejected)))
        await system.until(system.at_rest)
        await system.close_window(11, 0.1)
    assert system.stages()[-1] == (NEW, "rejected", 3)
    assert [list(e.data.opened) for e in system.events(monitoring.WindowDecided)] == [[]]
    system.dispose()
