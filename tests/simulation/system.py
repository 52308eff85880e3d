"""Two instances of each lifecycle service over one bus, as their own `bootstrap.py` wires them."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import Any, Literal, cast

from sqlalchemy import Engine, MetaData

from driftloop.bus.ports import TopicPartition
from driftloop.contracts.topics import declared
from driftloop.drift.windows import detector_rules
from driftloop.events.envelope import Draft, Envelope
from driftloop.loop.definition import LoopDefinition
from driftloop.process.errors import LeaseLost
from driftloop.runner import lease as lease_table
from driftloop.runner.handler import Handler, HandlerTable, Transaction
from driftloop.runner.lease import Lease
from driftloop.runner.relay import Relay
from driftloop.runner.service import LifecycleService, Patience, topics_of
from services.evaluation.adapters import sql as evaluation_sql
from services.evaluation.handlers import Evaluation
from services.evaluation.handlers import table as evaluation_table
from services.monitoring.detectors import state as detectors_state
from services.monitoring.detectors.decide import Detectors
from services.registry.adapters import sql as registry_sql
from services.registry.handlers import Registry, rollout_policy
from services.registry.handlers import table as registry_table
from services.serving.adapters import sql as serving_sql
from services.serving.handlers import Handlers as ServingHandlers
from services.serving.route_reconciler import RouteReconciler
from services.training.adapters import sql as training_sql
from services.training.handlers import table as training_table
from services.training.spec import RunSpec
from services.training.worker import Worker
from tests.helpers.loop_definition import loop_definition
from tests.simulation.bus import Faults, Group, SimulatedBroker, SimulatedConsumer, SimulatedProducer
from tests.simulation.environment import (
    LOOP,
    SeededJudge,
    SimulatedDeployer,
    SimulatedLauncher,
    SimulatedRouter,
)
from tests.simulation.removals import LateOutbox, without_epochs
from tests.simulation.scheduler import Instance, Scheduler
from tests.simulation.stores import HANDLED, Database, SimulatedEngine
from tests.unit.evaluation.fakes import FakeBundles, FakeHoldouts

WINDOW_CLOSED = "monitoring.window-closed.v1"
TABLES: dict[str, list[MetaData]] = {
    "registry": [registry_sql.metadata],
    "evaluation": [evaluation_sql.metadata],
    "training": [training_sql.metadata],
    "serving": [serving_sql.metadata],
    "detectors": [detectors_state.metadata],
}
INSTANCES = {"registry": 2, "evaluation": 2, "training": 2, "serving": 1, "detectors": 2}

_PATIENCE = Patience(relay_pause_s=900.0)
"""A commit wakes the relay, so that it must look by itself only after a fault."""
LEASE_S = 600.0
Safeguard = Literal["inbox", "outbox in the transaction", "epoch of the champion", "lease"]
"""What a simulation can leave out, to show that it finds the consequences."""


@cache
def definitions() -> Sequence[LoopDefinition]:
    """Return loops with different rollouts and policies of training."""
    shadow = {"stage": "shadow", "min_blocks": 2, "max_blocks": 3}
    canary = {"stage": "canary", "share": 0.1, "min_blocks": 2, "max_blocks": 3, "evidence": "stage"}
    approved = {**canary, "approval": True, "approval_within": "2d"}
    spans = {"first_champion": "2d", "drift": "2d", "schedule": "2d", "command": "2d"}
    detectors = {
        "residual": {"kind": "block_residual", "mode": "trigger", "threshold": 4.0, "blocks": 2},
        "loss": {"kind": "block_loss", "mode": "watch", "threshold": 0.2, "blocks": 2},
    }
    training = {"first_champion_after": "1d", "window": spans, "validation": "1d", "time_limit": "10m"}
    variants: list[tuple[list[dict[str, Any]], dict[str, Any]]] = [
        ([shadow, canary], {}),
        ([shadow], {"cooldown": "2d"}),
        ([shadow, approved], {"schedule": {"every": "4d"}}),
        ([canary], {"breaker": 2}),
        ([{**approved, "approval_else": "proceed"}], {"schedule": {"every": "3d"}, "cooldown": "1d"}),
    ]
    return [
        loop_definition(
            LOOP,
            monitoring={"detectors": detectors},
            training={**training, **changes},
            rollout={"steps": steps, "resamples": 200},
        )
        for steps, changes in variants
    ]


_FORGET = "CREATE TRIGGER forget AFTER INSERT ON inbox BEGIN DELETE FROM inbox WHERE event_id = NEW.event_id; END"
"""Makes a service forget which events it has handled."""


@dataclass
class Changelog:
    """The detectors' table as Faust restores it; a killed process may lose its last changes."""

    rows: dict[str, str] = field(default_factory=dict)


class System:
    """All instances, and what outlives them."""

    def __init__(self, scheduler: Scheduler, definition: LoopDefinition, without: Safeguard | None = None) -> None:
        self._leased = {"detectors", *(INSTANCES if scheduler.random.random() < 0.5 else ())}
        self.scheduler = scheduler
        self.definition = definition
        self.faults = Faults()
        self.broker = SimulatedBroker()
        for topic in declared().values():
            self.broker.create_topic(topic.name)
            self.broker.create_topic(f"{topic.name}.dlq")
        self.databases = {name: Database(scheduler, [*tables, lease_table.metadata]) for name, tables in TABLES.items()}
        self.launcher = SimulatedLauncher(scheduler)
        self.router = SimulatedRouter(scheduler)
        self.changelog = Changelog()
        self._stop = threading.Event()
        self._without = without
        if without == "inbox":
            for database in self.databases.values():
                database.change(_FORGET)
        self._tables: dict[str, Callable[[], HandlerTable]] = {
            "registry": lambda: registry_table(Registry({LOOP: rollout_policy(definition)}, registry_sql.SqlLedger)),
            "evaluation": lambda: evaluation_table(
                Evaluation(
                    {LOOP: definition},
                    SeededJudge(FakeBundles(), FakeHoldouts(), scheduler),
                    scheduler,
                    evaluation_sql.SqlState,
                )
            ),
            "training": lambda: training_table({LOOP: definition.training}),
            "serving": lambda: ServingHandlers(scheduler).table(),
        }
        topics = {name: topics_of(make()) for name, make in self._tables.items()} | {"detectors": [WINDOW_CLOSED]}
        self.groups = {name: Group(scheduler, self.broker, name, names) for name, names in topics.items()}
        self._consumers: dict[Instance, SimulatedConsumer] = {}
        self.instances = [Instance(f"{name}/{number}") for name, count in INSTANCES.items() for number in range(count)]
        scheduler.on_kill = self._left

    def start(self, instance: Instance) -> None:
        """Start an instance, again if it was killed."""
        engine = self.databases[instance.service].engine()
        consumer = SimulatedConsumer(self.scheduler, self.broker, self.groups[instance.service], self.faults)
        producer = SimulatedProducer(self.scheduler, self.broker, self.faults)
        self._consumers[instance] = consumer
        self.scheduler.start(instance, self._run(instance, engine, consumer, producer))

    def pause(self, instance: Instance, *, is_noticed: bool) -> None:
        """Stop an instance, as SIGSTOP does. ``is_noticed``: the broker gives its partitions to others."""
        instance.paused = True
        if is_noticed:
            self._left(instance)

    def resume(self, instance: Instance) -> None:
        """Let a stopped instance continue. If the broker noticed, the instance joins its group again."""
        instance.paused = False
        self._consumers[instance].join()

    def unsent(self) -> int:
        """Return the number of events that are in an outbox and not marked as sent."""
        query = "select count(*) from outbox where sent_wall_ms is null"
        return sum(int(database.rows(query)[0][0]) for database in self.databases.values())

    def _left(self, instance: Instance) -> None:
        self._consumers[instance].leave()

    async def _run(
        self, instance: Instance, engine: SimulatedEngine, consumer: SimulatedConsumer, producer: SimulatedProducer
    ) -> None:
        """Run the service, once the instance has its lease if it needs one. `driftloop.runner.alone` does this."""
        if instance.service not in self._leased:
            await _together(*self._parts(instance, engine, consumer, producer))
            return
        owner = f"{instance.name}/{instance.life}"
        lease = Lease(self.databases[instance.service].engine(), instance.service, owner, self.scheduler, LEASE_S)
        while not await asyncio.to_thread(lease.acquire):  # noqa: ASYNC110 - the lease says so only when asked
            await asyncio.sleep(LEASE_S / 3)
        engine.owner = owner
        if self._without != "lease":
            engine.fence = lease.check
        await _together(self._renew(lease), *self._parts(instance, engine, consumer, producer))

    async def _renew(self, lease: Lease) -> None:
        while True:
            await asyncio.sleep(LEASE_S / 3)
            try:
                await asyncio.to_thread(lease.renew)
            except LeaseLost:
                if self._without != "lease":
                    raise

    def _parts(
        self, instance: Instance, engine: Engine, consumer: SimulatedConsumer, producer: SimulatedProducer
    ) -> list[Coroutine[Any, Any, None]]:
        name = instance.service
        if name == "detectors":
            relay = Relay(name, engine, producer, self.scheduler)
            flushing = relay.keep_flushing(lambda: False, _PATIENCE.relay_pause_s)
            return [self._detect(engine, consumer, relay), flushing]
        handlers, parts = self._tables[name](), []
        if self._without == "epoch of the champion" and name == "training":
            handlers = without_epochs(handlers)
        if self._without == "outbox in the transaction":
            late = LateOutbox(name, engine, self.scheduler)
            handlers, parts = late.wrap(handlers), [late.run()]
        service = LifecycleService(
            name=name,
            handlers=_counted(handlers),
            engine=engine,
            consumer=consumer,
            producer=producer,
            stop=self._stop,
            clock=self.scheduler,
            patience=_PATIENCE,
            seed=instance.life,
        )
        if name == "training":
            parts.append(self._repeat("tick", self._worker(engine).tick, self._training_version))
        if name == "serving":
            parts.append(self._repeat("converge", self._reconciler(engine).step, self._serving_version))
        return [service.run(), *parts]

    def _worker(self, engine: Engine) -> Worker:
        return Worker(
            "training", engine, self.launcher, {LOOP: self.definition.training}, self._spec_of, self.scheduler
        )

    def _spec_of(self, run: training_sql.Run) -> RunSpec:
        policy = self.definition.training
        limits = (policy.time_limit.total_seconds(), policy.memory_limit_mib)
        return cast("RunSpec", _Spec(f"training/{run.run_id}", run.run_id, *limits))

    def _reconciler(self, engine: Engine) -> RouteReconciler:
        return RouteReconciler(
            loops=[LOOP],
            engine=engine,
            deployer=SimulatedDeployer(self.router),
            triton=cast("Any", self.router),
            clock=self.scheduler,
            stop=self._stop,
            triton_timeout_s=30.0,
        )

    def _training_version(self) -> tuple[Any, ...]:
        database = self.databases["training"]
        if not database.rows("select 1 from runs where phase != 'done'"):
            return ()
        return self.scheduler.loop.time(), database.changes()

    def _serving_version(self) -> tuple[Any, ...]:
        return self.scheduler.loop.time(), self.databases["serving"].changes()

    async def _repeat(self, label: str, step: Callable[[], object], version: Callable[[], tuple[Any, ...]]) -> None:
        """Take a worker's step again whenever time has passed or its database has changed."""
        seen: tuple[Any, ...] = ()

        def is_ready() -> bool:
            return version() != seen

        def once() -> None:
            nonlocal seen
            seen = version()
            step()

        while True:
            await self.scheduler.gate(label, once, is_ready)

    async def _detect(self, engine: Engine, consumer: SimulatedConsumer, relay: Relay) -> None:
        """Do what the Faust app of the detectors does: read, decide, publish, acknowledge."""
        rules = {LOOP: detector_rules(self.definition)}
        await consumer.start()
        detectors = await asyncio.to_thread(Detectors, rules, engine, self.scheduler, "detectors")
        table = dict(self.changelog.rows)
        await relay.try_flush()
        while True:
            for record in await consumer.poll(1, 0.25):
                event = detectors.read(record)
                if event is not None:
                    await asyncio.to_thread(detectors.decide, event, table)
                if self.scheduler.random.random() < 0.8:
                    self.changelog.rows = dict(table)
                await relay.try_flush()
                await consumer.commit({TopicPartition(record.topic, record.partition): record.offset + 1})


def _counted(handlers: HandlerTable) -> HandlerTable:
    """Return handlers that note which event they handle (`stores.Written`)."""

    def counted(handler: Handler) -> Handler:
        def handle(event: Envelope[Any], tx: Transaction) -> Sequence[Draft]:
            tx.connection.info[HANDLED] = [event.id]
            return handler(event, tx)

        return handle

    return {message: counted(handler) for message, handler in handlers.items()}


async def _together(*parts: Coroutine[Any, Any, None]) -> None:
    """Run the parts of a process until one of them ends; then end all, and raise its error."""
    tasks = [asyncio.ensure_future(part) for part in parts]
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
    for task in done:
        task.result()


@dataclass(frozen=True)
class _Spec:
    """The fields of a `RunSpec` that the worker and the simulated launcher read."""

    folder: str
    run_id: str
    time_limit_s: float
    memory_limit_mib: int
