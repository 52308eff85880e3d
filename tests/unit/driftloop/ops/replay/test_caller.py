from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, cast

import pyarrow as pa
import pytest
from tritonclient.utils import InferenceServerException

from driftloop.loop import load_loop
from driftloop.ops.replay.caller import Caller
from driftloop.process.settings import ROOT

PREDICTION = load_loop(ROOT / "tests" / "loops" / "orders").definition.prediction


@dataclass
class _Triton:
    """The two calls of a Triton client that a caller uses."""

    ready: bool = True
    fails: set[str] = field(default_factory=set)
    requests: list[tuple[str, str, list[Any]]] = field(default_factory=list)

    def is_model_ready(self, _model: str) -> bool:
        return self.ready

    def infer(self, model: str, inputs: list[Any], request_id: str, client_timeout: float) -> None:
        assert client_timeout > 0
        if request_id in self.fails:
            raise InferenceServerException("no")
        self.requests.append((model, request_id, inputs))


def _requests(count: int) -> pa.Table:
    return pa.table(
        {
            "order_ref": [f"o-{n}" for n in range(count)],
            "decision_time_ms": pa.array(range(count), pa.int64()),
            "store": ["delft"] * count,
            "channel": pa.array(["web", None] * count, pa.string())[:count],
            "lines": pa.array([3] * count, pa.int64()),
            "basket_cents": pa.array([12.5] * count, pa.float64()),
        }
    )


def _caller(client: _Triton) -> Caller:
    return Caller(cast("Any", client), "orders", PREDICTION)


def test_inputs_are_those_of_the_definition() -> None:
    tensors = {tensor.name(): tensor for tensor in _caller(_Triton()).inputs(_requests(3))}
    assert {name: tensor.datatype() for name, tensor in tensors.items()} == {
        "order_ref": "BYTES",
        "decision_time_ms": "INT64",
        "store": "BYTES",
        "channel": "BYTES",
        "lines": "INT64",
        "basket_cents": "FP64",
    }
    assert all(tensor.shape() == [3, 1] for tensor in tensors.values())


def test_a_loop_that_decides_now_sends_no_decision_time() -> None:
    now = PREDICTION.model_copy(update={"clock": "now"})
    caller = Caller(cast("Any", _Triton()), "orders", now)
    assert "decision_time_ms" not in {tensor.name() for tensor in caller.inputs(_requests(1))}


@pytest.mark.parametrize(("rows", "batches"), [(0, 0), (1, 1), (256, 1), (257, 2), (600, 3)])
def test_requests_are_sent_in_batches(rows: int, batches: int) -> None:
    client = _Triton()
    assert _caller(client).request_predictions(_requests(rows), "orders-7") == (rows, 0)
    assert [request for _, request, _ in client.requests] == [f"orders-7-{number}" for number in range(batches)]


def test_a_failed_batch_is_counted_and_skipped() -> None:
    client = _Triton(fails={"orders-7-0"})
    assert _caller(client).request_predictions(_requests(300), "orders-7") == (44, 256)


def test_a_ready_model_stays_ready() -> None:
    client = _Triton(ready=False)
    caller = _caller(client)
    assert not caller.ready()
    client.ready = True
    assert caller.ready()
    client.ready = False
    assert caller.ready()
