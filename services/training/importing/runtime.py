"""ONNX Runtime, as it is used to look at a model and to ask it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import onnxruntime
from numpy.typing import NDArray
from onnxruntime.capi import onnxruntime_pybind11_state as state

ERRORS = (
    state.EPFail,
    state.Fail,
    state.InvalidArgument,
    state.InvalidGraph,
    state.InvalidProtobuf,
    state.NoModel,
    state.NotImplemented,
    state.RuntimeException,
    RuntimeError,
    ValueError,
)
"""What it raises; its errors share no base."""

Arrays = Mapping[str, NDArray[Any]]


class Session:
    """A model that is loaded."""

    def __init__(self, model: bytes, threads: int = 1) -> None:
        """Raises one of `ERRORS` where the graph cannot be run here."""
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        options.log_severity_level = 3
        self._session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])

    def run(self, outputs: Sequence[str], feed: Arrays) -> list[NDArray[Any]]:
        """Values of some outputs; raises one of `ERRORS`."""
        return [np.asarray(each) for each in self._session.run(list(outputs), dict(feed))]


def reason(error: Exception) -> str:
    """An error of the runtime in one line."""
    lines = str(error).strip().splitlines() or [type(error).__name__]
    return lines[0].removeprefix("[ONNXRuntimeError] : ")
