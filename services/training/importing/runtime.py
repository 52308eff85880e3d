"""ONNX Runtime with the options that imports need."""

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
"""Exceptions of ONNX Runtime, which share no base class."""

Arrays = Mapping[str, NDArray[Any]]


class Session:
    """A loaded model."""

    def __init__(self, model: bytes, threads: int = 1) -> None:
        """Load a model; raise one of `ERRORS` if the graph cannot run here."""
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        options.log_severity_level = 3
        self._session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])

    def run(self, outputs: Sequence[str], feed: Arrays) -> list[NDArray[Any]]:
        """Return the values of some outputs; raise one of `ERRORS`."""
        return [np.asarray(each) for each in self._session.run(list(outputs), dict(feed))]


def reason(error: Exception) -> str:
    """Return an error of the runtime in one line."""
    lines = str(error).strip().splitlines() or [type(error).__name__]
    return lines[0].removeprefix("[ONNXRuntimeError] : ")
