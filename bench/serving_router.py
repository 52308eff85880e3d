"""Benchmark of the router in a real Triton, next to a bare python model with the same inputs and outputs.

Run ``python -m bench.serving_router [--seconds 5]``.

For both models it prints the latency of a request with 40 rows (the online store is written before each request, so
that no cached read can be used), and requests/s with 64 concurrent single-row requests, with Triton's own time in the
model. The loop has 14 views of 8 features and 12 inputs; the model is a perceptron with layers of 32 and 16.
"""

from __future__ import annotations

import argparse
import io
import itertools
import sqlite3
import tempfile
import threading
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import tritonclient.grpc as grpc
from onnx import TensorProto, helper, numpy_helper

from driftloop.contracts import registry_pb2
from driftloop.events.envelope import Envelope
from driftloop.featurestore.feast_keys import WATERMARKS, WATERMARKS_DDL, EntityKeys, pack_double, sqlite_table
from driftloop.loop import LoopDefinition
from driftloop.model.bundle import Input, Manifest, write_bundle
from driftloop.process.clock import SystemClock
from driftloop.process.home_secrets import read_secret
from services.serving.adapters.router_files import FolderRouterFiles
from services.serving.adapters.staging import FolderReleases
from services.serving.adapters.triton_grpc import GrpcTriton
from services.serving.adapters.watermarks import newest_watermark_ms
from services.serving.domain.desired import DesiredRoute
from services.serving.domain.model_config import RouterPaths, config_pbtxt
from services.serving.route_deployer import RouteDeployer
from tests.helpers.loop_definition import loop_definition
from tests.helpers.triton import TOKEN, Triton

LOOP, BARE = "bench", "bare"
T0 = 1_700_000_000_000
STRINGS, NUMBERS = ("a", "b", "c", "d"), tuple(f"x{n}" for n in range(8))
KEYS = (("all",), ("a",), ("b",), ("a", "b"), ("c",), ("d",), ("a", "c"))
VIEWS = {f"bench_{'_'.join(keys)}_{n}": keys for keys in KEYS for n in (1, 2)}
FEATURES = tuple(f"f{n}" for n in range(8))
ENTITIES = 300
NUMERIC = tuple(Input(f"{v}__{f}", "feature", "double", v, f) for v in VIEWS for f in FEATURES) + tuple(
    Input(name, "request", "double") for name in NUMBERS
)
CATEGORICAL = tuple(Input(name, "request", "string") for name in STRINGS)

BARE_MODEL = """
import numpy as np
import triton_python_backend_utils as pb

INPUTS = {inputs!r}

class TritonPythonModel:
    def execute(self, requests):
        answers = []
        for request in requests:
            read = [pb.get_input_tensor_by_name(request, name).as_numpy() for name in INPUTS]
            n = len(read[0])
            text = np.full((n, 1), b"same", dtype=np.object_)
            number = np.zeros((n, 1))
            answers.append(pb.InferenceResponse([
                pb.Tensor("score", number), pb.Tensor("prediction_id", text),
                pb.Tensor("release_id", text), pb.Tensor("feature_age_s", number)]))
        return answers
"""


def definition(name: str) -> LoopDefinition:
    """Return a loop definition with that name."""
    event = {"message": "b.E", "id": "id", "key": "key", "time": "t"}
    inputs = {column: {"type": "string"} for column in STRINGS} | {column: {"type": "double"} for column in NUMBERS}
    return loop_definition(
        name,
        events={"requests": event, "outcomes": event},
        prediction={
            "key": "key",
            "from": "requests",
            "decision_time": {"column": "t"},
            "clock": "request",
            "inputs": inputs,
            "join_keys": {column: {"input": column} for column in STRINGS} | {"all": {"const": "all"}},
            "feature_service": "bench",
        },
        label={"from": "outcomes", "key": "key", "value": "y", "kind": "regression"},
    )


def perceptron(seed: int) -> bytes:
    """Return an ONNX model with random weights."""
    random = np.random.default_rng(seed)
    sizes = (len(NUMERIC), 32, 16, 1)
    constants = [numpy_helper.from_array(np.array(0.0), "zero")]
    nodes = [
        helper.make_node("IsNaN", ["numeric"], ["missing"]),
        helper.make_node("Where", ["missing", "zero", "numeric"], ["layer0"]),
        helper.make_node("Identity", ["categorical"], ["unused"]),
    ]
    for n, (width, following) in enumerate(itertools.pairwise(sizes)):
        constants.append(numpy_helper.from_array(random.normal(size=(width, following)) / width, f"w{n}"))
        nodes.append(helper.make_node("MatMul", [f"layer{n}", f"w{n}"], [f"sum{n}"]))
        nodes.append(helper.make_node("Tanh", [f"sum{n}"], [f"layer{n + 1}" if n < 2 else "score"]))
    inputs = [
        helper.make_tensor_value_info("numeric", TensorProto.DOUBLE, [None, len(NUMERIC)]),
        helper.make_tensor_value_info("categorical", TensorProto.STRING, [None, len(CATEGORICAL)]),
    ]
    outputs = [
        helper.make_tensor_value_info("score", TensorProto.DOUBLE, [None, 1]),
        helper.make_tensor_value_info("unused", TensorProto.STRING, [None, len(CATEGORICAL)]),
    ]
    graph = helper.make_graph(nodes, "bench", inputs, outputs, constants)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)])
    model.ir_version = 8
    onnx.checker.check_model(model)
    return bytes(model.SerializeToString())


def release(home: Path, name: str, seed: int) -> registry_pb2.ReleaseRef:
    """Write a bundle and return the reference to its release."""
    import onnxruntime

    model = perceptron(seed)
    numeric, categorical = np.zeros((32, len(NUMERIC))), np.full((32, len(CATEGORICAL)), "k")
    session = onnxruntime.InferenceSession(model)
    (score,) = session.run(["score"], {"numeric": numeric, "categorical": categorical.astype(np.object_)})
    content = io.BytesIO()
    np.savez(content, numeric=numeric, categorical=categorical, score=score)
    manifest = Manifest(LOOP, name, "regression", "bench", NUMERIC, CATEGORICAL, {})
    digest = write_bundle(home / name, manifest, {"model.onnx": model, "golden.npz": content.getvalue()})
    reference = registry_pb2.ReleaseRef(release_id=name)
    reference.bundle.uri, reference.bundle.digest = str(home / name), digest
    return reference


def online_store(path: Path) -> sqlite3.Connection:
    """Create an online store in Feast's layout, with a row for every entity of every view."""
    path.parent.mkdir(parents=True)
    store = sqlite3.connect(path, isolation_level=None)
    store.execute("PRAGMA journal_mode=WAL")
    store.execute("PRAGMA synchronous=OFF")
    store.execute(WATERMARKS_DDL)
    random = np.random.default_rng(0)
    for view, keys in VIEWS.items():
        table = sqlite_table(view)
        store.execute(
            f'CREATE TABLE "{table}" (entity_key BLOB, feature_name TEXT, value BLOB, value_text TEXT, '
            "vector_value BLOB, event_ts timestamp, created_ts timestamp, PRIMARY KEY(entity_key, feature_name))"
        )
        serializer = EntityKeys(keys)
        entities = [("all",)] if keys == ("all",) else [(f"k{n}",) * len(keys) for n in range(ENTITIES)]
        rows = [
            (serializer.serialize(entity), feature, pack_double(value), T0 // 1000)
            for entity in entities
            for feature, value in zip(FEATURES, random.normal(size=8).tolist(), strict=True)
        ]
        store.execute("BEGIN")
        store.executemany(
            f'INSERT INTO "{table}" (entity_key, feature_name, value, event_ts) VALUES (?, ?, ?, ?)',  # noqa: S608
            rows,
        )
        store.execute("COMMIT")
        store.execute(f"INSERT INTO {WATERMARKS} VALUES (?, ?, ?)", (LOOP, view, T0))  # noqa: S608
    return store


def request(rows: int, start: int) -> list[grpc.InferInput]:
    """Return the tensors of a request for ``rows`` consecutive entities."""
    tensors = []
    numbers = range(start, start + rows)
    for name in ("key", *STRINGS):
        tensors.append(grpc.InferInput(name, [rows, 1], "BYTES"))
        values = np.array([[f"k{n % ENTITIES}"] for n in numbers], dtype=np.object_)
        tensors[-1].set_data_from_numpy(values)
    tensors.append(grpc.InferInput("decision_time_ms", [rows, 1], "INT64"))
    tensors[-1].set_data_from_numpy(np.full((rows, 1), T0 + 1000))
    for name in NUMBERS:
        tensors.append(grpc.InferInput(name, [rows, 1], "FP64"))
        tensors[-1].set_data_from_numpy(np.full((rows, 1), 0.5))
    return tensors


def latencies(client: grpc.InferenceServerClient, model: str, before: Callable[[int], None], times: int) -> list[float]:
    """Return the milliseconds of each request with 40 rows, without the first ten."""
    milliseconds = []
    for n in range(times):
        tensors = request(40, n * 40)
        before(n)
        started = time.perf_counter()
        client.infer(model, tensors)
        milliseconds.append((time.perf_counter() - started) * 1000)
    return milliseconds[10:]


def rate(client: grpc.InferenceServerClient, model: str, seconds: float) -> float:
    """Return the requests/s of single-row requests, 64 of them concurrent."""
    slots = threading.Semaphore(64)
    errors: list[Any] = []

    def done(result: Any, error: Any) -> None:  # noqa: ARG001 - Triton's client passes them by name
        if error is not None:
            errors.append(error)
        slots.release()

    requests = [request(1, n) for n in range(200)]
    started, count = time.perf_counter(), 0
    while time.perf_counter() - started < seconds:
        assert slots.acquire(timeout=30)
        client.async_infer(model, requests[count % 200], done)
        count += 1
    for _ in range(64):
        assert slots.acquire(timeout=30)
    assert not errors, errors[0]
    return count / (time.perf_counter() - started)


def in_model(client: grpc.InferenceServerClient, model: str) -> tuple[int, int, int]:
    """Return the rows, executions and nanoseconds in the model so far."""
    stats = client.get_inference_statistics(model).model_stats[0]
    spent = sum(batch.compute_infer.ns for batch in stats.batch_stats)
    return stats.inference_count, stats.execution_count, spent


def report(
    name: str, client: grpc.InferenceServerClient, model: str, before: Callable[[int], None], seconds: float
) -> float:
    """Measure one model, print a line and return its requests/s."""
    times = latencies(client, model, before, 210)
    rows0, runs0, ns0 = in_model(client, model)
    per_second = rate(client, model, seconds)
    rows1, runs1, ns1 = in_model(client, model)
    batch = (rows1 - rows0) / (runs1 - runs0)
    spent = (ns1 - ns0) / 1000 / (rows1 - rows0)
    p50, p99 = np.percentile(times, [50, 99])
    print(f"{name:22} 40 rows: p50 {p50:6.2f} ms, p99 {p99:6.2f} ms | 1 row: {per_second:6.0f} requests/s, "
          f"mean batch {batch:4.1f}, {spent:6.1f} us in the model per row")  # fmt: skip
    return per_second


def main(seconds: float) -> None:
    """Run all measurements and print them."""
    home = Path(tempfile.mkdtemp(prefix="driftloop-bench-"))
    paths = RouterPaths(
        home / "online" / "online.db", home / "releases", home / "routes", home / "spool", home / "probe"
    )
    store = online_store(paths.online_db)
    models = home / "models"
    bare = models / BARE / "1"
    bare.mkdir(parents=True)
    (models / BARE / "config.pbtxt").write_text(config_pbtxt(definition(BARE), 100))
    (bare / "model.py").write_text(BARE_MODEL.format(inputs=("key", *STRINGS, "decision_time_ms", *NUMBERS)))
    server = Triton(models, home / "triton.log")
    server.start()
    try:
        control = GrpcTriton(server.address, TOKEN, 5.0, 60.0, read_secret(paths.probe_secret))
        control.load(BARE)
        deployer = RouteDeployer(
            {LOOP: definition(LOOP)}, control, FolderReleases(paths.releases), FolderRouterFiles(models, paths, 100),
            partial(newest_watermark_ms, paths.online), SystemClock(), threading.Event(), 10.0,
        )  # fmt: skip
        champion, challenger = release(home, "champion", 1), release(home, "challenger", 2)

        def route(epoch: int, *releases: registry_pb2.ReleaseRef) -> None:
            data = registry_pb2.RouteChanged(loop=LOOP, epoch=epoch, champion=releases[0], challenger_share=0.1)
            if len(releases) > 1:
                data.challenger.CopyFrom(releases[1])
            event = Envelope("r", "/r", data.DESCRIPTOR.full_name, LOOP, T0, T0, "c", None, None, data)
            deployer.deploy(DesiredRoute(event, 0))

        def touch(n: int) -> None:
            store.execute(f"UPDATE {WATERMARKS} SET watermark_ms = ?", (T0 + n,))  # noqa: S608

        client = server.client()
        bare_rate = report("bare python model", client, BARE, touch, seconds)
        route(1, champion)
        alone = report("router, champion", client, LOOP, touch, seconds)
        route(2, champion, challenger)
        both = report("router, two releases", client, LOOP, touch, seconds)
        print(f"router / bare: {alone / bare_rate:.2f} with a champion, {both / bare_rate:.2f} with a challenger too")
    finally:
        server.kill()


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--seconds", type=float, default=5.0)
    main(parser.parse_args().seconds)
