"""The loop's model in Triton's python backend: passes batches to the router and returns its answers."""

from __future__ import annotations

import time
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import triton_python_backend_utils as pb_utils

from driftloop.process.home_secrets import read_secret
from services.serving.domain.loop_config import LoopConfig, read_loop_config
from services.serving.router.answer import Answer, Refusal, Router
from services.serving.router.batch import RawRequest
from services.serving.router.open_online import open_online
from services.serving.router.routes import RouteFollower
from services.serving.router.sessions import LoadedRelease, load_release
from services.serving.router.spool import SpoolWriter


class TritonPythonModel:
    """Created and called by Triton's python backend."""

    def initialize(self, args: dict[str, str]) -> None:
        """Serve the current route. Triton treats an error here as a failed load."""
        folder = Path(args["model_repository"]) / args["model_version"]
        config = read_loop_config(folder / "loop.json")
        self._routes = _routes(config)
        status = self._routes.refresh()
        if status is None or status.error:
            raise pb_utils.TritonModelException(status.error if status else f"no route for {config.loop} yet")
        self._online = open_online(config.online, config.loop)
        self._spool = SpoolWriter(Path(config.spool))
        secret = partial(read_secret, Path(config.probe_secret))
        self._router = Router(config, lambda: self._routes.live, self._online, self._spool, _now_ms, secret)
        self._refused = _RefusedRows(config)
        self._routes.start()

    def execute(self, requests: Sequence[Any]) -> list[Any]:
        """Answer the requests of one dynamic batch together."""
        raw = [_raw(request) for request in requests]
        try:
            answers = self._router.answer(raw)
        except Exception as error:  # noqa: BLE001  # callers get the error, and the next batch continues
            pb_utils.Logger.log_error(f"batch failed: {error!r}")
            self._refused.add(raw)
            return [_failed(f"{type(error).__name__}: {error}", pb_utils.TritonError.UNAVAILABLE)] * len(requests)
        self._refused.add(
            [request for request, answer in zip(raw, answers, strict=True) if isinstance(answer, Refusal)]
        )
        return [_response(answer) for answer in answers]

    def finalize(self) -> None:
        """Stop the route thread and close the files."""
        self._routes.stop()
        self._spool.close()
        self._online.close()


class _RefusedRows:
    """A counter in Triton's ``/metrics``. Triton itself counts a refused row as a successful inference."""

    def __init__(self, config: LoopConfig) -> None:
        self._family = pb_utils.MetricFamily(
            name="driftloop_refused_rows_total",
            description="Rows that the router did not answer, which Triton counts among its inferences.",
            kind=pb_utils.MetricFamily.COUNTER,
        )
        self._rows = self._family.Metric(labels={"loop": config.loop})
        self._key = config.key

    def add(self, requests: Sequence[RawRequest]) -> None:
        if requests:
            self._rows.increment(sum(len(request.tensor(self._key)) for request in requests))


def _routes(config: LoopConfig) -> RouteFollower[LoadedRelease]:
    releases = Path(config.releases)
    return RouteFollower(Path(config.routes), config.loop, lambda ref: load_release(releases, ref, config.classes))


def _raw(request: Any) -> RawRequest:
    def tensor(name: str) -> Any:
        return pb_utils.get_input_tensor_by_name(request, name).as_numpy()

    return RawRequest(request.request_id, request.parameters, tensor)


def _response(answer: Answer | Refusal) -> Any:
    if isinstance(answer, Refusal):
        return _failed(answer.why, pb_utils.TritonError.INVALID_ARG)
    return pb_utils.InferenceResponse(
        output_tensors=[
            pb_utils.Tensor("score", answer.scores.reshape(len(answer.prediction_ids), -1)),
            pb_utils.Tensor("prediction_id", _bytes(answer.prediction_ids)),
            pb_utils.Tensor("release_id", _bytes(answer.release_ids)),
            pb_utils.Tensor("feature_age_s", answer.feature_age_s.reshape(-1, 1)),
        ]
    )


def _failed(why: str, code: Any) -> Any:
    return pb_utils.InferenceResponse(error=pb_utils.TritonError(why, code))


def _bytes(texts: Sequence[str]) -> Any:
    return np.array([text.encode() for text in texts], dtype=np.object_).reshape(-1, 1)


def _now_ms() -> int:
    return time.time_ns() // 1_000_000
