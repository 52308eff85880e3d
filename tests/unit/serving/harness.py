"""A small loop, its releases and an online store for serving tests."""

from __future__ import annotations

import io
import sqlite3
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from driftloop.contracts import registry_pb2
from driftloop.events.envelope import Envelope
from driftloop.featurestore.feast_keys import (
    WATERMARKS,
    WATERMARKS_DDL,
    EntityKeys,
    pack_double,
    pack_string,
    sqlite_table,
)
from driftloop.loop import LoopDefinition
from driftloop.model.bundle import Input, Manifest, write_bundle
from services.serving.domain.route import ReleaseOnRoute
from tests.helpers.loop_definition import loop_data

LOOP = "parcels"
T0 = 1_700_000_000_000
DEPOT, LANE, WORLD = "parcels_depot", "parcels_lane", "parcels_world"
VIEW_KEYS = {DEPOT: ("depot",), LANE: ("zone", "depot"), WORLD: ("world",)}
DECLARED = loop_data(
    LOOP,
    description="Will a parcel be late?",
    events={
        "parcel.posted": {"message": "p.Posted", "id": "event_id", "key": "parcel_id", "time": "event_time_ms"},
        "parcel.delivered": {"message": "p.Done", "id": "event_id", "key": "parcel_id", "time": "event_time_ms"},
    },
    prediction={
        "key": "parcel_id",
        "from": "parcel.posted",
        "decision_time": {"column": "event_time_ms"},
        "clock": "request",
        "inputs": {
            "depot": {"type": "string"},
            "zone": {"type": "int64", "model": False},
            "weight": {"type": "double"},
        },
        "join_keys": {"depot": {"input": "depot"}, "zone": {"input": "zone"}, "world": {"const": "all"}},
        "max_feature_age": "2h",
    },
    label={"from": "parcel.delivered", "key": "parcel_id", "value": "late", "horizon": "3d"},
)
"""Content of the loop's ``loop.yaml``."""
DEFINITION = LoopDefinition.model_validate(DECLARED)
CLASSES = ("early", "on the day", "late")
OF_CLASSES = LoopDefinition.model_validate(
    {**DECLARED, "label": {**DECLARED["label"], "kind": "multiclass", "classes": CLASSES}}
)
"""The same loop with a multiclass label."""
NUMERIC = (
    Input("parcels_depot__count_3600s", "feature", "double", DEPOT, "count_3600s"),
    Input("parcels_depot__sum_delay_3600s", "feature", "double", DEPOT, "sum_delay_3600s"),
    Input("parcels_lane__count_3600s", "feature", "double", LANE, "count_3600s"),
    Input("parcels_world__sum_delay_3600s", "feature", "double", WORLD, "sum_delay_3600s"),
    Input("weight", "request", "double"),
)
CATEGORICAL = (
    Input("parcels_depot__mood", "feature", "string", DEPOT, "mood"),
    Input("depot", "request", "string"),
)
CODES = {"": 0.0, "north": 0.25, "south": 0.5, "calm": 0.125, "busy": 0.0625}


def score(numeric: NDArray[np.float64], categorical: NDArray[Any], bias: float) -> NDArray[np.float64]:
    """Return the score of a release with this bias: bias, plus the inputs (missing counts as 0), plus the codes."""
    codes = np.array([[CODES.get(value, -1.0) for value in row] for row in categorical.tolist()])
    total: NDArray[np.float64] = (
        bias + np.nan_to_num(numeric, nan=0.0).sum(axis=1) + codes.reshape(len(numeric), -1).sum(1)
    )
    return total


def probabilities(score: NDArray[np.float64], classes: int) -> NDArray[np.float64]:
    """Return a multiclass release's scores: softmax of the score times each class's weight."""
    powers = np.exp(score[:, None] * weights(classes))
    shares: NDArray[np.float64] = powers / powers.sum(axis=1, keepdims=True)
    return shares


def weights(classes: int) -> NDArray[np.float64]:
    """Return weights from -0.1 for the first class to 0.1 for the last, float64 [1, K]."""
    return np.linspace(-0.1, 0.1, classes)[None, :]


def graph(bias: float, classes: int = 0) -> bytes:
    """Return `score` or `probabilities` as an ONNX model."""
    zero = numpy_helper.from_array(np.array(0.0), "zero")
    offset = numpy_helper.from_array(np.array(bias), "bias")
    axes = numpy_helper.from_array(np.array([1], dtype=np.int64), "axes")
    nodes = [
        helper.make_node("IsNaN", ["numeric"], ["missing"]),
        helper.make_node("Where", ["missing", "zero", "numeric"], ["filled"]),
        helper.make_node("ReduceSum", ["filled", "axes"], ["sum"], keepdims=1),
        helper.make_node(
            "LabelEncoder",
            ["categorical"],
            ["codes"],
            domain="ai.onnx.ml",
            keys_strings=list(CODES),
            values_floats=list(CODES.values()),
            default_float=-1.0,
        ),
        helper.make_node("Cast", ["codes"], ["wide"], to=TensorProto.DOUBLE),
        helper.make_node("ReduceSum", ["wide", "axes"], ["code"], keepdims=1),
        helper.make_node("Add", ["sum", "code"], ["both"]),
        helper.make_node("Add", ["both", "bias"], ["total" if classes else "score"]),
    ]
    constants = [zero, offset, axes]
    if classes:
        constants.append(numpy_helper.from_array(weights(classes), "weights"))
        nodes.append(helper.make_node("MatMul", ["total", "weights"], ["logits"]))
        nodes.append(helper.make_node("Softmax", ["logits"], ["score"], axis=1))
    inputs = [
        helper.make_tensor_value_info("numeric", TensorProto.DOUBLE, [None, len(NUMERIC)]),
        helper.make_tensor_value_info("categorical", TensorProto.STRING, [None, len(CATEGORICAL)]),
    ]
    output = helper.make_tensor_value_info("score", TensorProto.DOUBLE, [None, classes or 1])
    body = helper.make_graph(nodes, "parcels", inputs, [output], constants)
    model = helper.make_model(body, opset_imports=[helper.make_opsetid("", 17), helper.make_opsetid("ai.onnx.ml", 2)])
    model.ir_version = 8
    onnx.checker.check_model(model)
    return bytes(model.SerializeToString())


def golden_sample(bias: float, error: float = 0.0, classes: int = 0) -> bytes:
    """Return a golden sample of 32 rows; ``error`` is added to the expected scores."""
    random = np.random.default_rng(7)
    numeric = random.normal(size=(32, len(NUMERIC)))
    numeric[random.random(numeric.shape) < 0.1] = np.nan
    categorical = random.choice(["north", "south", "", "calm"], size=(32, len(CATEGORICAL)))
    content = io.BytesIO()
    total = score(numeric, categorical, bias)
    expected = (probabilities(total, classes) if classes else total.reshape(-1, 1)) + error
    np.savez(content, numeric=numeric, categorical=categorical, score=expected)
    return content.getvalue()


def write_release(
    root: Path, release_id: str, bias: float, error: float = 0.0, loop: str = LOOP, classes: tuple[str, ...] = ()
) -> registry_pb2.ReleaseRef:
    """Write a bundle below ``root``; return its reference as the registry sends it."""
    manifest = Manifest(
        loop=loop,
        run_id=f"run-{release_id}",
        label_kind="multiclass" if classes else "binary",
        feature_service="parcels_v1",
        numeric=NUMERIC,
        categorical=CATEGORICAL,
        training={},
        classes=classes,
    )
    files = {
        "model.onnx": graph(bias, len(classes)),
        "golden.npz": golden_sample(bias, error, len(classes)),
        "reference.json": b'{"format": 1, "inputs": {}, "score": {"edges": [0.5], "counts": [1, 1], "missing": 0}}',
    }
    folder = root / f"bundle-{release_id}"
    digest = write_bundle(folder, manifest, files)
    reference = registry_pb2.ReleaseRef(release_id=release_id)
    reference.bundle.uri, reference.bundle.digest = str(folder), digest
    return reference


def on_route(reference: registry_pb2.ReleaseRef) -> ReleaseOnRoute:
    """Return the release as in a route."""
    return ReleaseOnRoute(reference.release_id, reference.bundle.digest)


def route_changed(
    epoch: int,
    champion: registry_pb2.ReleaseRef,
    challenger: registry_pb2.ReleaseRef | None = None,
    share: float = 0.0,
) -> Envelope[registry_pb2.RouteChanged]:
    """Return the registry's event."""
    data = registry_pb2.RouteChanged(
        loop=LOOP, epoch=epoch, champion=champion, challenger=challenger, challenger_share=share
    )
    return Envelope(
        f"route-{epoch}",
        "/driftloop/registry",
        data.DESCRIPTOR.full_name,
        LOOP,
        T0,
        T0,
        "chain-1",
        "cause-1",
        None,
        data,
    )


class FeastFile:
    """An online store in Feast's SQLite layout, written row by row."""

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._connection = sqlite3.connect(path, isolation_level=None)
        self._connection.execute("PRAGMA journal_mode=WAL")
        self._connection.execute("PRAGMA synchronous=OFF")
        self._connection.execute(WATERMARKS_DDL)
        for view in VIEW_KEYS:
            self._connection.execute(
                f'CREATE TABLE IF NOT EXISTS "{sqlite_table(view)}" (entity_key BLOB, feature_name TEXT, value BLOB, '
                "value_text TEXT, vector_value BLOB, event_ts timestamp, created_ts timestamp, "
                "PRIMARY KEY(entity_key, feature_name))"
            )

    def put(
        self, view: str, entity: Sequence[str | int], values: Mapping[str, float | str | None], event_ms: int = T0
    ) -> None:
        """Write an entity's row."""
        key = EntityKeys(VIEW_KEYS[view]).serialize(entity)
        rows = [(key, name, _packed(value), event_ms // 1000, event_ms) for name, value in values.items()]
        self._connection.executemany(
            f'INSERT OR REPLACE INTO "{sqlite_table(view)}" (entity_key, feature_name, value, event_ts, created_ts) '
            "VALUES (?, ?, ?, ?, ?)",
            rows,
        )

    def watermark(self, views: Iterable[str], watermark_ms: int, loop: str = LOOP) -> None:
        """Set the watermark of views."""
        self._connection.executemany(
            f"INSERT OR REPLACE INTO {WATERMARKS} VALUES (?, ?, ?)", [(loop, view, watermark_ms) for view in views]
        )

    def close(self) -> None:
        self._connection.close()


def _packed(value: float | str | None) -> bytes:
    return pack_double(value) if isinstance(value, float) else pack_string(value)
