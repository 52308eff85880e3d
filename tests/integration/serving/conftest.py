"""Fixtures for serving: a real Triton, a real online store, releases on disk and the agent's parts."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import tritonclient.grpc as grpc

from driftloop.bus.ports import Record
from driftloop.contracts import features_pb2, monitoring_pb2, predictions_pb2, registry_pb2, serving_pb2
from driftloop.contracts.topics import topic_of
from driftloop.events.envelope import Envelope, from_record, to_record
from driftloop.loop import LoopDefinition
from driftloop.process.clock import SystemClock
from driftloop.process.home_secrets import read_secret
from driftloop.runner.service import LifecycleService, topics_of
from driftloop.runner.tables import open_database
from driftloop.runner.threads import ServiceWithWorkers
from services.serving.adapters import sql
from services.serving.adapters.router_files import FolderRouterFiles
from services.serving.adapters.spool_reader import SpoolReader
from services.serving.adapters.staging import FolderReleases
from services.serving.adapters.triton_grpc import GrpcTriton
from services.serving.adapters.watermarks import newest_watermark_ms
from services.serving.bootstrap import agent
from services.serving.domain.desired import DesiredRoute
from services.serving.domain.model_config import RouterPaths
from services.serving.handlers import Handlers
from services.serving.log_writers import LogWriters
from services.serving.route_deployer import RouteDeployer
from services.serving.route_reconciler import RouteReconciler
from services.serving.shipper import TOPIC, shipper_loop
from tests.helpers.eventually import assert_eventually_async
from tests.helpers.memory_broker import MemoryBroker
from tests.helpers.triton import TOKEN, Triton
from tests.unit.serving.harness import (
    DEFINITION,
    DEPOT,
    LANE,
    LOOP,
    OF_CLASSES,
    T0,
    VIEW_KEYS,
    WORLD,
    FeastFile,
    route_changed,
    write_release,
)

ROUTES = topic_of(registry_pb2.RouteChanged).name
CONVERGED = topic_of(serving_pb2.RouteConverged).name
FAILED = topic_of(serving_pb2.RouteFailed).name
REPORTS = (CONVERGED, FAILED, topic_of(serving_pb2.RouteReported).name)
GIVEN_UP = topic_of(monitoring_pb2.WriterGivenUp).name
WATERMARKS = topic_of(features_pb2.WatermarkAdvanced).name


@dataclass
class World:
    """Folders below ``home``, a Triton and a broker in memory."""

    home: Path
    triton: Triton
    broker: MemoryBroker = field(default_factory=MemoryBroker)
    definition: LoopDefinition = DEFINITION

    def __post_init__(self) -> None:
        self.paths = RouterPaths(
            online_db=self.home / "online" / "online.db",
            releases=self.home / "triton" / "releases",
            routes=self.home / "triton" / "routes",
            spool=self.home / "spool",
            probe_secret=self.home / "secrets" / "probe",
        )
        for topic, partitions in [(TOPIC, 2), *((topic, 1) for topic in (ROUTES, *REPORTS, GIVEN_UP, WATERMARKS))]:
            self.broker.create_topic(topic, partitions)
            self.broker.create_topic(f"{topic}.dlq", 1)
        self.feast = FeastFile(self.paths.online_db)
        classes = self.definition.label.classes
        self.a = write_release(self.home, "r-a", 0.0, classes=classes)
        self.b = write_release(self.home, "r-b", 100.0, classes=classes)
        self.stop = threading.Event()
        self.control = self.agents_triton()
        self.client = self.triton.client()

    def agents_triton(self) -> GrpcTriton:
        return GrpcTriton(self.triton.address, TOKEN, 5.0, 60.0, read_secret(self.paths.probe_secret))

    def deployer(self) -> RouteDeployer:
        return RouteDeployer(
            definitions={LOOP: self.definition},
            triton=self.control,
            releases=FolderReleases(self.paths.releases),
            files=FolderRouterFiles(self.home / "triton" / "models", self.paths, 100),
            newest_watermark_ms=partial(newest_watermark_ms, self.paths.online),
            clock=SystemClock(),
            stop=self.stop,
            status_timeout_s=10.0,
        )

    def serve(
        self,
        epoch: int,
        champion: registry_pb2.ReleaseRef,
        challenger: registry_pb2.ReleaseRef | None = None,
        share: float = 0.0,
    ) -> str:
        return self.deployer().deploy(DesiredRoute(route_changed(epoch, champion, challenger, share), 0))

    def agent(self) -> ServiceWithWorkers:
        engine = open_database(f"sqlite:///{self.home / 'serving.db'}", sql.metadata)
        clock = SystemClock()
        writers = LogWriters("", [LOOP], sql.SqlWriterStarts(engine), clock)
        handlers = Handlers(clock, writers.give_up).table()
        triton = self.agents_triton()
        lifecycle = LifecycleService(
            name="serving",
            handlers=handlers,
            engine=engine,
            consumer=self.broker.lifecycle_consumer(topics_of(handlers), "serving"),
            producer=self.broker.lifecycle_producer(),
            stop=self.stop,
        )
        reconciler = RouteReconciler(
            loops=[LOOP],
            engine=engine,
            deployer=self.deployer(),
            triton=triton,
            clock=clock,
            stop=self.stop,
            triton_timeout_s=60.0,
            may_answer=writers.may_answer,
        )
        shipper = shipper_loop(
            {LOOP: SpoolReader(self.paths.spool / LOOP, LOOP)},
            sql.SqlSpoolPositions(engine),
            writers,
            self.broker.batch_consumer([WATERMARKS], "serving-shipper"),
            self.broker.batch_producer(),
            clock,
            self.stop,
        )
        return agent(lifecycle, reconciler, shipper, triton, self.stop)

    def publish(self, event: Envelope[registry_pb2.RouteChanged] | Envelope[features_pb2.WatermarkAdvanced]) -> None:
        self.broker.append([to_record(event)])  # type: ignore[arg-type]

    def advance(self, watermark_ms: int) -> None:
        self.feast.watermark(VIEW_KEYS, watermark_ms)
        data = features_pb2.WatermarkAdvanced(loop=LOOP, watermark_ms=watermark_ms)
        name = data.DESCRIPTOR.full_name
        self.publish(Envelope(f"w-{watermark_ms}", "/f", name, LOOP, watermark_ms, 0, "c", None, None, data))

    def epochs(self, topic: str) -> list[int]:
        messages = [serving_pb2.RouteConverged, serving_pb2.RouteFailed]
        return [from_record(record, messages).data.epoch for record in self.broker.records(topic)]  # type: ignore[attr-defined]

    def log(self) -> list[Record]:
        """Return the predictions and watermarks in the log, without the joins of the agents."""
        joined = predictions_pb2.WriterJoined.DESCRIPTOR.full_name.encode()
        return [record for record in self.broker.records(TOPIC) if record.header("ce_type") != joined]

    def spooled(self) -> list[predictions_pb2.PredictionServed]:
        records, _ = SpoolReader(self.paths.spool / LOOP, LOOP).read({})
        return [predictions_pb2.PredictionServed.FromString(record) for record in records]

    def inference_count(self) -> int:
        """Return Triton's count; it counts a batch after sending its answers."""
        statistics = self.client.get_inference_statistics(LOOP)
        return int(statistics.model_stats[0].inference_count)


def inputs(
    keys: list[str], depot: str = "north", zone: int = 7, weight: float = 0.5, decision_ms: int = T0
) -> list[grpc.InferInput]:
    """Return a request's tensors."""
    n = len(keys)
    values = {
        "parcel_id": ("BYTES", np.array(keys, dtype=np.object_)),
        "decision_time_ms": ("INT64", np.full(n, decision_ms, dtype=np.int64)),
        "depot": ("BYTES", np.full(n, depot, dtype=np.object_)),
        "zone": ("INT64", np.full(n, zone, dtype=np.int64)),
        "weight": ("FP64", np.full(n, weight, dtype=np.float64)),
    }
    tensors = []
    for name, (datatype, value) in values.items():
        tensor = grpc.InferInput(name, [n, 1], datatype)
        tensor.set_data_from_numpy(value.reshape(n, 1))
        tensors.append(tensor)
    return tensors


async def eventually(condition: Callable[[], bool]) -> None:
    """Wait until a condition is true, up to a limit."""
    await assert_eventually_async(lambda: asyncio.to_thread(condition), timeout_s=120.0)


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    yield from run_world(tmp_path, DEFINITION)


@pytest.fixture
def world_of_classes(tmp_path: Path) -> Iterator[World]:
    yield from run_world(tmp_path, OF_CLASSES)


def run_world(tmp_path: Path, definition: LoopDefinition) -> Iterator[World]:
    """Yield a world for a loop definition and clean up."""
    server = Triton(tmp_path / "triton" / "models", tmp_path / "triton.log")
    server.start()
    fixture = World(tmp_path, server, definition=definition)
    fixture.feast.put(DEPOT, ("north",), {"count_3600s": 3.0, "sum_delay_3600s": 1.5, "mood": "calm"})
    fixture.feast.put(LANE, (7, "north"), {"count_3600s": 2.0})
    fixture.feast.put(WORLD, ("all",), {"sum_delay_3600s": 10.0})
    fixture.feast.watermark(VIEW_KEYS, T0)
    yield fixture
    fixture.stop.set()
    fixture.client.close()
    fixture.control.close()
    fixture.feast.close()
    server.kill()
    port = server.address.rpartition(":")[2]
    for segment in Path("/dev/shm").glob(f"driftloop_{port}_*"):
        segment.unlink()
