"""Triton over gRPC."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import numpy as np
import tritonclient.grpc as grpc
from tritonclient.utils import InferenceServerException

from driftloop.events.probe import MARKER, PROBE, SECRET
from driftloop.process.errors import Retriable
from driftloop.process.triton_control import CONTROL_HEADER
from services.serving.domain.probe import ProbeAnswer, Value
from services.serving.ports import LoadRefused

_NO_ANSWER = ("StatusCode.UNAVAILABLE", "StatusCode.DEADLINE_EXCEEDED", "StatusCode.CANCELLED")
_DATATYPE = {"string": "BYTES", "int64": "INT64", "double": "FP64"}
_NUMPY: dict[str, Any] = {"int64": np.int64, "double": np.float64}


class GrpcTriton:
    """`services.serving.ports.Triton` over its gRPC API; create and use it in one thread."""

    def __init__(
        self, address: str, control_token: str, call_timeout_s: float, load_timeout_s: float, probe_secret: str
    ) -> None:
        self._client = grpc.InferenceServerClient(address)
        self._headers = {CONTROL_HEADER: control_token}
        self._call_timeout_s = call_timeout_s
        self._load_timeout_s = load_timeout_s
        self._parameters = {MARKER: PROBE, SECRET: probe_secret}

    def live(self) -> bool:
        try:
            return bool(self._client.is_server_live(client_timeout=self._call_timeout_s))
        except InferenceServerException:
            return False

    def model_ready(self, model: str) -> bool:
        with _translated():
            return bool(self._client.is_model_ready(model, client_timeout=self._call_timeout_s))

    def load(self, model: str) -> None:
        with _translated():
            self._client.load_model(model, headers=self._headers, client_timeout=self._load_timeout_s)

    def unload(self, model: str) -> None:
        with _translated():
            self._client.unload_model(model, headers=self._headers, client_timeout=self._load_timeout_s)

    def probe(self, model: str, request_id: str, values: Mapping[str, Value], types: Mapping[str, str]) -> ProbeAnswer:
        with _translated():
            result = self._client.infer(
                model,
                [_tensor(name, value, types[name]) for name, value in values.items()],
                request_id=request_id,
                parameters=self._parameters,
                client_timeout=self._call_timeout_s,
            )
        return ProbeAnswer(
            release_id=result.as_numpy("release_id")[0, 0].decode(),
            prediction_id=result.as_numpy("prediction_id")[0, 0].decode(),
            scores=tuple(result.as_numpy("score")[0].tolist()),
        )

    def close(self) -> None:
        self._client.close()


def _tensor(name: str, value: Value, kind: str) -> grpc.InferInput:
    tensor = grpc.InferInput(name, [1, 1], _DATATYPE[kind])
    content = np.array([[value]], dtype=_NUMPY[kind]) if kind in _NUMPY else np.array([[str(value)]], dtype=np.object_)
    tensor.set_data_from_numpy(content)
    return tensor


@contextmanager
def _translated() -> Iterator[None]:
    try:
        yield
    except InferenceServerException as error:
        if error.status() in _NO_ANSWER:
            raise Retriable(f"Triton does not answer: {error.message()}") from error
        raise LoadRefused(error.message()) from error
