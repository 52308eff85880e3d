"""The router in a real Triton, called by a plain KServe v2 client."""

import threading
import time
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
import pytest
import tritonclient.grpc as grpc
from grpc import RpcError, insecure_channel
from numpy.typing import NDArray
from tritonclient.grpc import service_pb2
from tritonclient.utils import InferenceServerException

from driftloop.contracts import predictions_pb2, registry_pb2
from driftloop.events.probe import MARKER, PROBE, SECRET
from driftloop.model.bundle import open_bundle
from driftloop.ops.checks.triton import refused_rows
from services.serving.domain.traffic_split import is_challenger
from services.serving.route_deployer import RouteRefused
from services.serving.router.sessions import load_release
from tests.helpers.eventually import assert_eventually
from tests.integration.serving.conftest import World, inputs
from tests.unit.serving.harness import CLASSES, DEPOT, LOOP, T0, VIEW_KEYS, on_route, write_release

pytestmark = [pytest.mark.integration, pytest.mark.triton]


def ask(world: World, tensors: list[grpc.InferInput], request_id: str = "", **options: Any) -> grpc.InferResult:
    return world.client.infer(LOOP, tensors, request_id=request_id, client_timeout=60, **options)


def refused(world: World, tensors: list[grpc.InferInput], model: str = LOOP) -> str:
    with pytest.raises(InferenceServerException) as caught:
        world.client.infer(model, tensors, client_timeout=60)
    return str(caught.value.message())


def still_answers(world: World) -> None:
    assert ask(world, inputs(["alive"])).as_numpy("release_id")[0, 0] == b"r-a"


def model_on_the_logged_features(
    world: World, reference: registry_pb2.ReleaseRef, records: list[predictions_pb2.PredictionServed]
) -> NDArray[np.float64]:
    release = load_release(world.paths.releases, on_route(reference))
    numeric = np.array([list(record.numeric) for record in records])
    categorical = np.array([list(record.categorical) for record in records], dtype=np.object_)
    return release.score(numeric, categorical)


def test_a_plain_client_gets_an_answer_and_its_record(world: World) -> None:
    assert not world.client.is_model_ready(LOOP)
    world.serve(1, world.a)
    result = ask(world, inputs(["p-1"], decision_ms=T0 + 60_000), "my-request")
    assert result.as_numpy("score").tolist() == [[17.375]]
    name = result.as_numpy("prediction_id")[0, 0].decode()
    assert name.startswith("my-request.")
    assert result.as_numpy("release_id")[0, 0] == b"r-a"
    assert result.as_numpy("feature_age_s").tolist() == [[60.0]]
    probe, record = world.spooled()
    assert (probe.purpose, probe.prediction_id) == (predictions_pb2.PROBE, "probe-parcels-1")
    assert (record.purpose, record.prediction_id, record.key) == (predictions_pb2.CLIENT, name, "p-1")
    assert (record.score, record.route_epoch, record.feature_watermark_ms) == (17.375, 1, T0)
    assert list(record.numeric) == [3.0, 1.5, 2.0, 10.0, 0.5]
    assert list(record.categorical) == ["calm", "north"]
    bundle = open_bundle(Path(world.a.bundle.uri), world.a.bundle.digest)
    assert record.input_digest == bundle.manifest.input_digest


def test_bad_requests_are_described_and_crash_nothing(world: World) -> None:
    world.serve(1, world.a)
    good = inputs(["p-1"])

    def changed(name: str, datatype: str, value: NDArray[Any]) -> list[grpc.InferInput]:
        tensor = grpc.InferInput(name, list(value.shape), datatype)
        tensor.set_data_from_numpy(value)
        return [tensor if original.name() == name else original for original in good]

    assert "unexpected shape for input 'weight'" in refused(world, changed("weight", "FP64", np.zeros((1, 2))))
    assert "batch-size must be <= 256" in refused(world, inputs([f"p{n}" for n in range(257)]))
    assert "data-type" in refused(world, changed("weight", "FP32", np.zeros((1, 1), dtype=np.float32)))
    assert "expected 5 inputs but got 4" in refused(world, good[1:])
    extra = grpc.InferInput("colour", [1, 1], "FP64")
    extra.set_data_from_numpy(np.zeros((1, 1)))
    assert "expected 5 inputs but got 6" in refused(world, [*good, extra])
    assert "unknown model" in refused(world, good, "nosuchmodel")
    assert "the prediction key of row 0 is empty" in refused(world, inputs([""]))
    assert "not UTF-8" in refused(world, changed("depot", "BYTES", np.array([[b"\xff"]], dtype=np.object_)))
    assert "'decision_time_ms': -1 in row 0" in refused(world, inputs(["p"], decision_ms=-1))
    still_answers(world)
    assert {record.key for record in world.spooled()} == {"probe-1", "alive"}


def send_bytes(world: World, request: bytes) -> None:
    """Send an inference request as it is; a client would check its text first."""
    with insecure_channel(world.triton.address) as channel:
        call = channel.unary_unary("/inference.GRPCInferenceService/ModelInfer", None, None)
        call(request, timeout=60)


def test_bad_ids_and_parameters_are_refused_and_crash_nothing(world: World) -> None:
    world.serve(1, world.a)
    good = inputs(["p-1"])

    def refusal(request_id: str = "", parameters: Mapping[str, Any] = MappingProxyType({})) -> str:
        with pytest.raises(InferenceServerException) as caught:
            ask(world, good, request_id, parameters=dict(parameters))
        assert caught.value.status() == "StatusCode.INVALID_ARGUMENT"
        return str(caught.value.message())

    assert "it has 2700000 characters; use at most 128" in refusal("x" * 2_700_000)
    assert "not printable ASCII" in refusal("caf\u00e9")
    assert "the only value is 'probe'" in refusal(parameters={MARKER: True})
    assert "the only value is 'probe'" in refusal(parameters={MARKER: 7})
    assert "a probe needs this system's secret" in refusal(parameters={MARKER: PROBE})
    assert "a probe needs this system's secret" in refusal(parameters={MARKER: PROBE, SECRET: "a guess"})
    assert "a probe needs this system's secret" in refusal(parameters={MARKER: PROBE, SECRET: 1})
    message = service_pb2.ModelInferRequest(model_name=LOOP, id="MARK").SerializeToString()
    with pytest.raises(RpcError):
        send_bytes(world, message.replace(b"MARK", b"\xff\xfe\xfd\xfc"))
    ask(world, good, "'\"{}\\", parameters={"priority_of_mine": '"}{', "flag": False})
    still_answers(world)
    assert {record.key for record in world.spooled()} == {"probe-1", "p-1", "alive"}


def test_decision_times_are_bounded(world: World) -> None:
    world.serve(1, world.a)
    day_ms = 86_400_000
    now_ms = time.time_ns() // 1_000_000
    assert "looks like seconds" in refused(world, inputs(["p"], decision_ms=T0 // 1000))
    assert "looks like microseconds" in refused(world, inputs(["p"], decision_ms=T0 * 1000))
    assert "looks like nanoseconds" in refused(world, inputs(["p"], decision_ms=T0 * 10**6))
    assert "more than max_advance" in refused(world, inputs(["p"], decision_ms=now_ms + 10 * day_ms))
    world.feast.watermark(VIEW_KEYS, now_ms + 9 * day_ms)
    ask(world, inputs(["p-simulated"], decision_ms=now_ms + 10 * day_ms))


def test_a_constant_id_gives_each_question_its_own_prediction(world: World) -> None:
    world.serve(1, world.a)
    for _ in range(2):
        for number in range(20):
            ask(world, inputs([f"p-{number}"]), "1")
    records = world.spooled()[1:]
    assert len(records) == 40
    assert len({(record.prediction_id, record.key) for record in records}) == 20
    assert all(record.prediction_id.startswith("1.") for record in records)


def test_refused_rows_are_counted_apart_from_inferences(world: World) -> None:
    world.serve(1, world.a)
    assert refused_rows(world.triton.metrics, LOOP) == 0
    refused(world, inputs(["p-1", "", "p-3"]))
    refused(world, inputs([f"p{n}" for n in range(257)]))  # Triton refuses and does not count these
    still_answers(world)
    assert_eventually(lambda: world.inference_count() >= 5)
    assert (world.inference_count(), refused_rows(world.triton.metrics, LOOP)) == (5, 3)


def test_load_calls_need_the_control_token(world: World) -> None:
    world.serve(1, world.a)
    with pytest.raises(InferenceServerException, match=r"restricted"):
        world.client.unload_model(LOOP)
    still_answers(world)


def test_an_unknown_entity_is_served_with_missing_features(world: World) -> None:
    world.serve(1, world.a)
    result = ask(world, inputs(["p-1"], depot="nowhere"))
    assert result.as_numpy("score")[0, 0] == pytest.approx(10.0 + 0.5 + 0.0 - 1.0)
    record = world.spooled()[-1]
    assert np.isnan(record.numeric[:3]).all()
    assert list(record.stale_views) == []


def test_stale_views_are_missing_and_listed(world: World) -> None:
    world.serve(1, world.a)
    ask(world, inputs(["p-1"], decision_ms=T0 + 2 * 3_600_000 + 1))
    record = world.spooled()[-1]
    assert sorted(record.stale_views) == ["parcels_depot", "parcels_lane", "parcels_world"]
    assert np.isnan(record.numeric[:4]).all()


def test_a_thousand_keys_are_joined_as_written(world: World) -> None:
    random = np.random.default_rng(3)
    wanted = random.normal(size=(1000, 2))
    for n, (count, delay) in enumerate(wanted.tolist()):
        world.feast.put(DEPOT, (f"d{n}",), {"count_3600s": count, "sum_delay_3600s": delay, "mood": "busy"})
    world.serve(1, world.a)
    for start in range(0, 1000, 250):
        tensors = inputs([f"p{n}" for n in range(start, start + 250)])
        depots = np.array([[f"d{n}"] for n in range(start, start + 250)], dtype=np.object_)
        tensors[2].set_data_from_numpy(depots)
        ask(world, tensors)
    records = world.spooled()[1:]
    np.testing.assert_array_equal([list(record.numeric[:2]) for record in records], wanted)
    scores = [record.score for record in records]
    np.testing.assert_allclose(scores, model_on_the_logged_features(world, world.a, records), rtol=1e-12)


def test_both_arms_score_and_each_key_keeps_its_arm(world: World) -> None:
    world.serve(1, world.a, world.b, 0.3)
    keys = [f"p{n}" for n in range(200)]
    for _ in range(2):
        result = ask(world, inputs(keys))
        answered = [name.decode() for name in result.as_numpy("release_id")[:, 0]]
        assert answered == ["r-b" if is_challenger(key, "r-b", 0.3) else "r-a" for key in keys]
    records = world.spooled()[1:]
    by_role = {
        role: [s.score for r in records for s in r.scores if s.role == role] for role in ("champion", "challenger")
    }
    np.testing.assert_allclose(by_role["champion"], model_on_the_logged_features(world, world.a, records))
    np.testing.assert_allclose(by_role["challenger"], model_on_the_logged_features(world, world.b, records))


def test_no_request_fails_while_routes_are_swapped(world: World) -> None:
    world.serve(1, world.a)
    stop = threading.Event()
    answered: list[int] = []
    failures: list[str] = []

    def call(number: int) -> None:
        client = world.triton.client()
        tensors = inputs([f"caller-{number}"])
        count = 0
        while not stop.is_set():
            try:
                client.infer(LOOP, tensors, client_timeout=60)
                count += 1
            except InferenceServerException as error:
                failures.append(str(error))
        answered.append(count)
        client.close()

    callers = [threading.Thread(target=call, args=(n,)) for n in range(4)]
    for caller in callers:
        caller.start()
    epoch = 1
    try:
        while world.inference_count() < 6_000:
            epoch += 1
            champion, challenger = (world.a, world.b) if epoch % 2 else (world.b, world.a)
            world.serve(epoch, champion, challenger if epoch % 3 else None, 0.5)
    finally:
        stop.set()
        for caller in callers:
            caller.join()
    assert failures == []
    assert epoch > 5
    probes = epoch
    expected_count = sum(answered) + probes
    assert_eventually(lambda: world.inference_count() >= expected_count)
    assert expected_count == world.inference_count() == len(world.spooled())
    assert {record.route_epoch for record in world.spooled()} == set(range(1, epoch + 1))


def test_a_multiclass_answer_and_its_record_have_one_score_per_class(world_of_classes: World) -> None:
    world = world_of_classes
    world.serve(1, world.a, world.b, 0.5)
    metadata = world.client.get_model_metadata(LOOP)
    assert {output.name: list(output.shape) for output in metadata.outputs}["score"] == [-1, 3]
    result = ask(world, inputs(["p-1"]))
    keys = [f"p{n}" for n in range(200)]
    many = ask(world, inputs(keys))
    scores = many.as_numpy("score")
    assert (result.as_numpy("score").shape, scores.shape) == ((1, 3), (200, 3))
    np.testing.assert_allclose(scores.sum(axis=1), 1.0)
    records = world.spooled()[2:]
    assert {record.release_id for record in records} == {"r-a", "r-b"}
    for reference in (world.a, world.b):
        release = load_release(world.paths.releases, on_route(reference), CLASSES)
        numeric = np.array([list(record.numeric) for record in records])
        categorical = np.array([list(record.categorical) for record in records], dtype=np.object_)
        expected = release.score(numeric, categorical)
        name = reference.release_id
        logged = np.array([e.class_scores for r in records for e in r.scores if e.release_id == name])
        np.testing.assert_allclose(logged, expected, rtol=1e-12)
        answered_rows = [row for row, record in enumerate(records) if record.release_id == name]
        np.testing.assert_array_equal(scores[answered_rows], logged[answered_rows])
        assert [records[row].score for row in answered_rows] == scores[answered_rows].max(axis=1).tolist()


def test_a_release_with_other_classes_does_not_answer(world_of_classes: World, tmp_path: Path) -> None:
    world = world_of_classes
    world.serve(1, world.a)
    other = write_release(tmp_path, "r-odd", 1.0, classes=CLASSES[::-1])
    with pytest.raises(RouteRefused, match="its classes are late, on the day, early; the loop's are early"):
        world.serve(2, other)
    assert ask(world, inputs(["p-1"])).as_numpy("release_id")[0, 0] == b"r-a"


def test_planted_code_in_the_models_folder_is_not_run(world: World, tmp_path: Path) -> None:
    folder, marker = world.home / "triton" / "models" / LOOP, tmp_path / "ran"
    code = f"open({str(marker)!r}, 'w')\nfrom services.serving.router.model import TritonPythonModel\n"
    (folder / "2").mkdir(parents=True)
    (folder / "2" / "model.py").write_text(code)
    (folder / "2" / "loop.json").write_text("{}")
    (folder / "triton_python_backend_stub").write_text(f"#!/bin/sh\ntouch {marker}\n")
    (folder / "triton_python_backend_stub").chmod(0o755)
    (folder / "1").mkdir()
    (folder / "1" / "numpy.py").write_text(code)
    world.serve(1, world.a)
    still_answers(world)
    (folder / "2").mkdir(exist_ok=True)  # planted later, and loaded again
    (folder / "2" / "model.py").write_text(code)
    world.control.load(LOOP)
    still_answers(world)
    assert not marker.exists()
