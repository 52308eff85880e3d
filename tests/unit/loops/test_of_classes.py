"""A loop whose label has classes, from raw events to verdict: brokers in memory, real graphs and tables."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import orjson
import pytest
import yaml
from google.protobuf import descriptor_pb2
from google.protobuf.message import Message

from driftloop.bus.ports import Outgoing, Record
from driftloop.contracts import monitoring_pb2 as monitoring
from driftloop.contracts import predictions_pb2 as predictions
from driftloop.contracts import registry_pb2 as registry
from driftloop.events.verdict_outcome import VerdictOutcome
from driftloop.loop import Loop, load_loop
from driftloop.model.bundle import open_bundle
from driftloop.model.losses import losses
from driftloop.model.trainer import TrainingSet
from driftloop.ops.checks.joins import join_checks, outcome_values, recount_joins
from driftloop.ops.checks.predictions import read_predictions
from driftloop.ops.checks.raw import recount
from driftloop.ops.checks.scores import score_checks
from driftloop.ops.checks.windows import recount_windows, reported_windows, window_check
from driftloop.ops.report.releases import outcomes
from driftloop.readmodel.loop_history import LoopHistory
from services.evaluation.adapters.bundles import LocalBundles
from services.evaluation.adapters.holdouts import ParquetHoldouts
from services.evaluation.offline_evaluation import Judge
from services.evaluation.ports import Candidate
from services.serving.domain.model_config import RouterPaths, loop_config
from services.serving.domain.route import Route
from services.serving.router.answer import Answer, Router
from services.serving.router.routes import LiveRoute
from services.serving.router.sessions import load_release
from services.training.run.package import HOLDOUT, write_holdout
from tests.helpers.clock import FakeClock
from tests.unit.ingestion.harness import OUTCOMES, IngestionHarness
from tests.unit.monitoring.harness import PARTITIONS, JoinerHarness, outgoing, route
from tests.unit.serving.harness import CATEGORICAL, CLASSES, DECLARED, LOOP, NUMERIC, T0, on_route, write_release
from tests.unit.serving.router.test_answer import ListSpool, keyed
from tests.unit.serving.router.test_join import full_store

DAY_MS = 86_400_000
POSTED, DELIVERED = "parcel.posted", "parcel.delivered"
KEYS = [f"p{n}" for n in range(60)]
CAME = dict(zip(KEYS, np.random.default_rng(1).choice(3, len(KEYS), p=[0.1, 0.2, 0.7]).tolist(), strict=True))
"""Place of the class that came true, by key."""
_TYPES = descriptor_pb2.FieldDescriptorProto
_FIELDS = {"event_id": _TYPES.TYPE_STRING, "event_time_ms": _TYPES.TYPE_INT64, "parcel_id": _TYPES.TYPE_STRING}


@dataclass
class Told:
    """What the services made of it."""

    loop: Loop
    ingestion: IngestionHarness
    joiner: JoinerHarness
    answer: Answer
    log: list[predictions.PredictionServed]
    champion: registry.ReleaseRef

    @property
    def raw(self) -> list[Record]:
        return [record for name in (POSTED, DELIVERED) for record in self.ingestion.broker.records(name)]

    @property
    def window(self) -> monitoring.WindowClosed:
        first: monitoring.WindowClosed = self.joiner.windows(LOOP)[0].data
        return first


@pytest.fixture
def told(tmp_path: Path) -> Told:
    loop = write_loop(tmp_path / "loops")
    ingestion = IngestionHarness(tmp_path, [loop])
    ingestion.broker.append(raw_events())
    ingestion.ingest()
    champion = write_release(tmp_path, "r-a", 0.0, classes=CLASSES)
    challenger = write_release(tmp_path, "r-b", 5.0, classes=CLASSES)
    answer, log = served(loop, tmp_path, champion, challenger)
    joiner = JoinerHarness(tmp_path, [loop.definition])
    joiner.send(*marks(T0), route("r-a", "r-b", LOOP))
    joiner.send(*(outgoing(each, LOOP, key=each.key) for each in log))
    joiner.send(
        *[Outgoing(r.topic, r.value, r.key, r.headers, r.partition) for r in ingestion.broker.records(OUTCOMES)]
    )
    joiner.send(*marks(T0 + 2 * DAY_MS))
    joiner.run()
    return Told(loop, ingestion, joiner, answer, log, champion)


def write_loop(folder: Path) -> Loop:
    """The loop of parcels that are early, on the day or late."""
    label = {**DECLARED["label"], "value": "when", "kind": "multiclass", "classes": list(CLASSES)}
    place = folder / LOOP
    place.mkdir(parents=True)
    (place / "loop.yaml").write_text(yaml.safe_dump({**DECLARED, "label": label}))
    file = descriptor_pb2.FileDescriptorProto(name="p.proto", package="p", syntax="proto3")
    for name, more in (("Posted", {}), ("Done", {"when": _TYPES.TYPE_STRING})):
        message = file.message_type.add(name=name)
        for number, (each, kind) in enumerate({**_FIELDS, **more}.items(), start=1):
            message.field.add(name=each, number=number, type=kind, label=_TYPES.LABEL_OPTIONAL)
    (place / "events.binpb").write_bytes(descriptor_pb2.FileDescriptorSet(file=[file]).SerializeToString())
    return load_loop(place)


def raw_events() -> Iterator[Outgoing]:
    """An outcome an hour after each decision, one of no class, and watermarks around them."""
    yield from raw_marks(T0)
    for number, (key, place) in enumerate([*CAME.items(), ("p-odd", -1)]):
        when = CLASSES[place] if place >= 0 else "never"
        event = {"event_id": f"e-{key}", "event_time_ms": T0 + 3_600_000, "parcel_id": key, "when": when}
        yield Outgoing(DELIVERED, orjson.dumps(event), None, (), number % 2)
    yield from raw_marks(T0 + 2 * DAY_MS)


def raw_marks(at_ms: int) -> Iterator[Outgoing]:
    for topic in (POSTED, DELIVERED):
        for partition in (0, 1):
            yield Outgoing(topic, None, None, (("driftloop-watermark", str(at_ms).encode()),), partition)


def marks(at_ms: int) -> list[Outgoing]:
    mark: Message = predictions.PredictionWatermark(loop=LOOP, watermark_ms=at_ms)
    return [outgoing(mark, LOOP, partition=partition) for partition in range(PARTITIONS)]


def served(
    loop: Loop, folder: Path, champion: registry.ReleaseRef, challenger: registry.ReleaseRef
) -> tuple[Answer, list[predictions.PredictionServed]]:
    """The router's answer for all keys, and its log."""
    for each in (champion, challenger):
        Path(each.bundle.uri).rename(folder / each.release_id)
        each.bundle.uri = str(folder / each.release_id)
    first, second = on_route(champion), on_route(challenger)
    releases = [load_release(folder, ref, CLASSES) for ref in (first, second)]
    live = LiveRoute(Route(LOOP, 1, first, second, 0.5), *releases)
    spool, config = ListSpool(), loop_config(loop.definition, RouterPaths(*[folder] * 5))
    [answer] = Router(config, lambda: live, full_store(), spool, lambda: T0, str).answer([keyed(*KEYS)])
    assert isinstance(answer, Answer)
    return answer, spool.records


def test_the_window_sums_the_log_loss_of_the_class_that_came_true(told: Told) -> None:
    came = np.array([CAME[each.key] for each in told.log], dtype=np.float64)
    assert told.window.joins.joined == len(KEYS)
    for sums in told.window.releases:
        said = np.array([s.class_scores for r in told.log for s in r.scores if s.release_id == sums.release_id])
        assert sums.count == len(KEYS)
        assert sums.loss_sum == pytest.approx(losses("multiclass", said, came).sum())
        assert sums.score_sum == pytest.approx(said.max(axis=1).sum())
        assert sums.outcome_sum == (said.argmax(axis=1) == came).sum()
        assert sums.residual_sum == pytest.approx(sums.score_sum - sums.outcome_sum)
    [pair] = told.window.paired
    by_release = {each.release_id: each.loss_sum for each in told.window.releases}
    assert (pair.champion_loss_sum, pair.challenger_loss_sum) == pytest.approx((by_release["r-a"], by_release["r-b"]))


def test_the_recomputation_agrees(told: Told) -> None:
    raw = recount(told.raw, told.loop, "")
    assert len(raw.invalid) == len(told.ingestion.dead_letters(DELIVERED)) == 1
    records = told.joiner.broker.records("predictions.served.v1")
    log = read_predictions(records, LOOP)
    bundles = {"r-a": open_bundle(Path(told.champion.bundle.uri), told.champion.bundle.digest)}
    [scores] = score_checks(log, bundles)
    assert (scores.compared, scores.unequal) == (len(KEYS), 0)
    values = outcome_values(raw.table(DELIVERED), told.loop.definition)
    assert {key: value for key, _, value in values} == CAME
    found = recount_joins(log, values, told.loop.definition, told.joiner.windows(LOOP)[-1].data.end_ms)
    assert [
        each for each in join_checks(outcomes(LoopHistory(LOOP, told.joiner.windows(LOOP))), found) if each.unequal
    ] == []
    summed = recount_windows(log, values, told.loop.definition, told.joiner.windows(LOOP)[-1].data.end_ms)
    check = window_check(reported_windows(told.joiner.windows(LOOP)), summed)
    assert (check.compared, check.unequal) == (2, 0)


def test_a_logged_score_of_a_class_that_is_not_the_models_is_unequal(told: Told) -> None:
    [entry] = [each for each in told.log[0].scores if each.role == "champion"]
    entry.class_scores[0] += 1e-4
    name = told.log[0].DESCRIPTOR.full_name.encode()
    records = [
        Record("t", 0, at, b"", each.SerializeToString(), (("ce_type", name),)) for at, each in enumerate(told.log)
    ]
    bundles = {"r-a": open_bundle(Path(told.champion.bundle.uri), told.champion.bundle.digest)}
    [scores] = score_checks(read_predictions(records, LOOP), bundles)
    assert scores.unequal == 1


def test_a_release_that_says_the_same_of_every_row_is_no_gain_over_the_base_rate(told: Told, tmp_path: Path) -> None:
    rows = training_set(told.log)
    score = np.array([record.scores[0].class_scores for record in told.log])
    write_holdout(tmp_path / HOLDOUT, rows, score)
    judge = Judge(LocalBundles(), ParquetHoldouts(), FakeClock(tick_s=0.001))
    bundle = told.champion.bundle
    candidate = Candidate("r-a", LOOP, "run", bundle.uri, bundle.digest)
    offline = told.loop.definition.offline.model_copy(update={"min_rows": 10})
    found = judge.judge(
        told.loop.definition.model_copy(update={"offline": offline}), candidate, str(tmp_path / HOLDOUT), None, "v"
    )
    assert found.metrics["loss"] == pytest.approx(losses("multiclass", score, rows.label).mean())
    shares = np.bincount(rows.label.astype(int), minlength=3) / len(KEYS)
    assert found.metrics["base_loss"] == pytest.approx(-(shares * np.log(shares)).sum())
    assert found.outcome is VerdictOutcome.WORSE
    assert [each.partition(" -")[0] for each in found.reasons] == ["gain over the base rate of the held-out rows"]


def training_set(log: list[predictions.PredictionServed]) -> TrainingSet:
    """The logged inputs with their outcomes."""
    words: Any = np.empty((len(log), len(CATEGORICAL)), dtype=object)
    words[:] = [list(each.categorical) for each in log]
    return TrainingSet(
        numeric=np.array([list(each.numeric) for each in log]),
        categorical=words,
        label=np.array([CAME[each.key] for each in log], dtype=np.float64),
        decision_time_ms=np.array([each.decision_time_ms for each in log]),
        key=np.array([each.key for each in log], dtype=object),
        numeric_names=[each.name for each in NUMERIC],
        categorical_names=[each.name for each in CATEGORICAL],
        classes=CLASSES,
    )
