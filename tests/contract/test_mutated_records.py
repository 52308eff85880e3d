"""Every consumer handles a damaged record or refuses it as a dead letter. None raises any other error.

What a consumer publishes because of a damaged record must be readable for the consumers of that event.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from google.protobuf.message import Message
from sqlalchemy import Engine, MetaData

from driftloop.bus.dedup import SourceOffsets
from driftloop.bus.ports import Record, TopicPartition
from driftloop.contracts import features_pb2 as features
from driftloop.contracts import ingestion_pb2 as ingestion
from driftloop.contracts import monitoring_pb2 as monitoring
from driftloop.contracts import predictions_pb2 as predictions
from driftloop.contracts import registry_pb2 as registry
from driftloop.contracts import serving_pb2 as serving
from driftloop.contracts import training_pb2 as training
from driftloop.contracts.topics import message_class, topic
from driftloop.drift.windows import detector_rules
from driftloop.events.envelope import Envelope, from_draft, from_record, to_record
from driftloop.events.event_log import decode
from driftloop.process.errors import InvalidEvent, Retriable
from driftloop.readmodel.event_text import describe
from driftloop.readmodel.history import serving_periods
from driftloop.readmodel.lineage import Lineage
from driftloop.readmodel.loop_history import LoopHistory
from driftloop.runner import outbox
from driftloop.runner.handler import HandlerTable, Transaction
from driftloop.runner.tables import open_database
from services.control import messages as control_messages
from services.control.domain.notices import notice_of
from services.control.ports import Stored
from services.evaluation.adapters import sql as evaluation_sql
from services.evaluation.handlers import Evaluation
from services.evaluation.handlers import table as evaluation_table
from services.evaluation.offline_evaluation import Judge
from services.features.domain.loop_run import LoopRun
from services.features.handlers import handle as handle_features
from services.monitoring.bootstrap import OUTCOMES, PREDICTIONS, make_monitor
from services.monitoring.detectors import state as detector_state
from services.monitoring.detectors.decide import Detectors
from services.monitoring.handlers import Intake
from services.monitoring.handlers import read as read_joined
from services.monitoring.messages import window_closed
from services.registry.adapters import sql as registry_sql
from services.registry.handlers import Registry, rollout_policy
from services.registry.handlers import table as registry_table
from services.serving.adapters import sql as serving_sql
from services.serving.handlers import Handlers as Serving
from services.training.adapters import sql as training_sql
from services.training.handlers import table as training_table
from tests.helpers.clock import FakeClock
from tests.helpers.lifecycle import LifecycleEvents, drifting
from tests.helpers.mutations import damage, mutations
from tests.unit.evaluation.definitions import loop_definition
from tests.unit.evaluation.fakes import FakeBundles, FakeHoldout, FakeHoldouts, FakeScorer
from tests.unit.features import fakes as feature_records
from tests.unit.features.rows import SHOPS, SPECS, Sale, batch
from tests.unit.monitoring import harness as joins
from tests.unit.monitoring import rows
from tests.unit.monitoring.harness import definition as monitored
from tests.unit.training.policies import policy

LOOP = "orders"


def story() -> list[Envelope[Any]]:
    """Return genuine lifecycle events in order, with every kind that a service consumes."""
    life = drifting(LOOP)
    for event in life.events:
        _complete(event.data)
    route = registry.RouteChanged(
        loop=LOOP, epoch=99, stage="champion", champion=registry.ReleaseRef(release_id="r-c", bundle=_bundle("c"))
    )
    life.add(40, route)
    life.add(40, ingestion.LakeFlushed(loop=LOOP, watermark_ms=_day(40), tables=[_table("orders.placed")]))
    life.add(40, features.OfflineFlushed(loop=LOOP, watermark_ms=_day(40), views=[_view("shop")]))
    life.add(40, serving.RouteFailed(loop=LOOP, epoch=99, release_id="r-c", reason="the probe failed"))
    life.add(40, monitoring.WriterGivenUp(loop=LOOP, writer="two", start=3, because="timeout"))
    life.add(40, serving.RouteReported(loop=LOOP, epoch=99, triton="two", serves=True, champion_release_id="r-c"))
    life.rolled_back(40, "c", life.events[-3], "r-a")
    _commands(life)
    return life.events


def _complete(data: Any) -> None:
    """Add the fields that services need beyond those that the read model shows."""
    if isinstance(data, training.CandidateTrained):
        data.bundle.CopyFrom(_bundle(data.run_id))
        data.holdout_uri = "/h"
    if data.DESCRIPTOR.name == "VerdictReached" and data.stage == "offline":
        data.bundle.CopyFrom(_bundle(data.run_id))


def _bundle(name: str) -> training.Bundle:
    return training.Bundle(uri="/b", digest=f"digest-{name}")


def _day(number: int) -> int:
    return 1_356_998_400_000 + number * 86_400_000


def _table(name: str) -> ingestion.TableVersion:
    return ingestion.TableVersion(name=name, path=f"lake/{name}", version=3)


def _view(name: str) -> features.ViewVersion:
    return features.ViewVersion(view=name, path=f"offline/{name}", version=2)


def _commands(life: LifecycleEvents) -> None:
    control = message_class("driftloop.control.v1.Approve").DESCRIPTOR.file
    for name in control.message_types_by_name:
        if name not in ("ImportedModel", "ImportedInput"):
            data: Any = message_class(f"driftloop.control.v1.{name}")(who="anna", why="fine")
            if name == "Import":
                data.model.uri, data.model.sha256, data.model.source = f"imports/{'a' * 64}.onnx", "a" * 64, "m.onnx"
                data.model.inputs.add(name="x", columns=["lines"])
            life.command(41, data)


def record_of(event: Envelope[Any], offset: int = 0) -> Record:
    record = to_record(event)
    return Record(record.topic, 0, offset, record.key, record.value, record.headers)


class Service:
    """A service's handlers over a database. A damaged record's transaction is rolled back."""

    def __init__(self, name: str, table: HandlerTable, engine: Engine) -> None:
        self.name = name
        self.table = table
        self._engine = engine

    def handle(self, record: Record, *, keep: bool) -> None:
        event = from_record(record, [message_class(name) for name in topic(record.topic).messages])
        if type(event.data) not in self.table:
            return
        with self._engine.connect() as connection, connection.begin() as transaction:
            drafts = self.table[type(event.data)](event, Transaction(connection))
            outbox.put(connection, drafts, source=self.name, wall_time_ms=1, cause=event)
            for draft in drafts:
                published = from_draft(draft, source=self.name, wall_time_ms=1, cause=event, traceparent=None)
                decode(record_of(published))
            if not keep:
                transaction.rollback()


def _evaluation(engine: Engine) -> HandlerTable:
    judge = Judge(FakeBundles({"/b": FakeScorer()}), FakeHoldouts({"/h": FakeHoldout()}), FakeClock(tick_s=0.001))
    loops = {LOOP: loop_definition(LOOP)}
    return evaluation_table(Evaluation(loops, judge, FakeClock(tick_s=0.001), evaluation_sql.SqlState))


def _registry(engine: Engine) -> HandlerTable:
    return registry_table(Registry({LOOP: rollout_policy(loop_definition(LOOP))}, registry_sql.SqlLedger))


def _training(engine: Engine) -> HandlerTable:
    return training_table({LOOP: policy()})


def _serving(engine: Engine) -> HandlerTable:
    return Serving(FakeClock()).table()


SERVICES: dict[str, tuple[MetaData, Callable[[Engine], HandlerTable]]] = {
    "evaluation": (evaluation_sql.metadata, _evaluation),
    "registry": (registry_sql.metadata, _registry),
    "serving": (serving_sql.metadata, _serving),
    "training": (training_sql.metadata, _training),
}


def unexpected(call: Callable[[Record], object], what: str, record: Record) -> list[str]:
    """Return the error of a consumer other than a refusal, as a list of one line, or nothing."""
    try:
        call(record)
    except (InvalidEvent, Retriable):
        return []
    except Exception as error:  # noqa: BLE001 - the test reports all of them
        return [f"{what}: {error!r:.200}"]
    return []


@pytest.mark.parametrize("name", sorted(SERVICES))
def test_a_service_refuses_what_it_cannot_handle(tmp_path: Path, name: str) -> None:
    metadata, table = SERVICES[name]
    engine = open_database(f"sqlite:///{tmp_path / 'service.db'}", metadata)
    service = Service(name, table(engine), engine)
    problems: list[str] = []
    seen: set[type[Message]] = set()
    for number, event in enumerate(story()):
        kind = type(event.data)
        if kind in service.table and kind not in seen:
            seen.add(kind)
            for what, record in mutations(record_of(event), event.data, number):
                problems += unexpected(lambda record: service.handle(record, keep=False), what, record)
        service.handle(record_of(event), keep=True)
    engine.dispose()
    assert seen == set(service.table), "the story lacks an event that the service handles"
    assert not problems, "\n".join(problems)


def test_the_read_model_refuses_what_it_cannot_show() -> None:
    events = story()
    problems: list[str] = []
    seen: set[type[Message]] = set()
    for number, event in enumerate(events):
        if type(event.data) in seen:
            continue
        seen.add(type(event.data))

        def show(record: Record, number: int = number) -> None:
            changed = decode(record)
            if changed.loop != LOOP:
                return
            history = LoopHistory(LOOP, [*events[:number], changed, *events[number + 1 :]])
            history.state()
            serving_periods(history)
            Lineage(history, history.events.get).of(changed.id)
            describe(changed)
            notice_of(changed)
            control_messages.event(Stored(number, changed), payload=True)

        for what, record in mutations(record_of(event), event.data, number, damaged=15):
            problems += unexpected(show, what, record)
    assert not problems, "\n".join(problems)


def test_the_detectors_refuse_what_they_cannot_judge(tmp_path: Path) -> None:
    engine = open_database(f"sqlite:///{tmp_path / 'detectors.db'}", detector_state.metadata)
    detectors = Detectors({LOOP: detector_rules(monitored())}, engine, FakeClock(), "detectors")
    windows = [event for event in story() if event.data.DESCRIPTOR.name == "WindowClosed"]
    states: dict[str, str] = {}
    problems: list[str] = []

    def judge(record: Record) -> None:
        event = detectors.read(record)
        if event is not None:
            steps = detectors.steps(event, states)
            for step in steps.values():
                detector_state.to_text(step.state)

    for number, window in enumerate(windows):
        if number in (0, 20):
            for what, record in mutations(record_of(window), window.data, number):
                problems += unexpected(judge, what, record)
        event = detectors.read(record_of(window))
        assert event is not None
        detectors.decide(event, states)
    engine.dispose()
    assert not problems, "\n".join(problems)


def test_the_features_refuse_what_they_cannot_read() -> None:
    sales = batch(
        [Sale(f"s{at}", at, 1000 * at, 900 * at, float(at), at, "red" if at % 2 else None) for at in range(9)]
    )
    sent = [feature_records.accepted(SHOPS, sales, 0), feature_records.watermark(8_000, 0)]
    problems: list[str] = []
    for outgoing in sent:
        record = Record(outgoing.topic, 0, 0, outgoing.key, outgoing.value, outgoing.headers)
        message = decode(record).data

        def apply(record: Record) -> None:
            run = LoopRun("sales", SPECS, 1)
            handle_features(record, {"sales": run})
            run.watermark(0, 9_000_000)
            for advance in run.advances():
                assert advance.late_events >= 0

        for what, changed in [*mutations(record, message, damaged=500), *_damaged_rows(record, message)]:
            problems += unexpected(apply, what, changed)
    assert not problems, "\n".join(problems)


def _damaged_rows(record: Record, message: Any) -> Iterator[tuple[str, Record]]:
    """Yield the record with damaged Arrow rows in an intact message."""
    if not hasattr(message, "rows"):
        return
    rng = random.Random(5)
    for number in range(1500):
        changed = type(message)()
        changed.CopyFrom(message)
        changed.rows = damage(message.rows, rng)
        yield f"rows: damage {number}", replace(record, value=changed.SerializeToString(deterministic=True))


def test_the_join_refuses_what_it_cannot_read() -> None:
    problems: list[str] = []
    definition = joins.definition()
    raw = joins.Raw()
    writers: list[Message] = [
        predictions.WriterJoined(loop=LOOP, writer="two", start=3),
        predictions.GiveUpAsked(loop=LOOP, writer="two", who="anna", why="gone"),
        predictions.GiveUp(loop=LOOP, writer="two", start=3, because="command"),
        predictions.WriterLeft(loop=LOOP, writer="two", start=3),
    ]
    sent = [
        joins.served("k", 1.0, challenger=("r-2", 0.4)),
        *joins.watermark(24.0),
        *[joins.outgoing(message, LOOP, partition=0) for message in writers],
        *raw.accepted([raw.row("k", 2.0), raw.row("other", 3.0)]),
        joins.route("r-1", "r-2"),
    ]
    for number, outgoing in enumerate(sent):
        record = Record(outgoing.topic, 0, number, outgoing.key, outgoing.value, outgoing.headers)
        message = read_joined(record)

        def apply(record: Record, number: int = number) -> None:
            monitor = make_monitor(definition, [TopicPartition(OUTCOMES, 0), TopicPartition(PREDICTIONS, 0)])
            intake = Intake({LOOP: monitor}, {LOOP: SourceOffsets()}, {})
            for other in [*sent[:number], *sent[number + 1 :]]:
                intake.handle(Record(other.topic, 0, 0, other.key, other.value, other.headers))
            intake.handle(record)
            for draft in intake.take_changes().given_up:
                event = from_draft(draft, source="test", wall_time_ms=1, cause=None, traceparent=None)
                decode(record_of(event))
            references = {name: rows.reference(name) for name in ("r-1", "r-2")}
            for _ in range(3):
                if monitor.due() is not None:
                    closed = monitor.close(references).window
                    draft = window_closed(LOOP, closed)
                    event = from_draft(draft, source="test", wall_time_ms=1, cause=None, traceparent=None)
                    decode(record_of(event))

        for what, changed in [*mutations(record, message), *_damaged_rows(record, message)]:
            problems += unexpected(apply, what, changed)
    assert not problems, "\n".join(problems)
