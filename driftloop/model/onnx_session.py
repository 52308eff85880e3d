"""Opens ONNX models with the options that all services share."""

from __future__ import annotations

import onnxruntime
from onnxruntime.capi import onnxruntime_pybind11_state as state

ONNX_ERRORS = (
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


_NO_FOLDER = "/dev/null/none"
"""A path that cannot exist: tensors in other files are looked for there, and not in the current folder."""


_IN_MEMORY = b"*/_ORT_MEM_ADDR_/*"
"""ONNX Runtime takes a tensor in a file of this name for one at an address in its own memory."""


def open_session(model: bytes, threads: int = 1) -> onnxruntime.InferenceSession:
    """Load a model on the CPU, without any other file; raise one of `ONNX_ERRORS` if it cannot run here."""
    if _IN_MEMORY in model:
        raise ValueError("the model refers to an address in this process's memory")
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = 3
    options.add_session_config_entry("session.model_external_initializers_file_folder_path", _NO_FOLDER)
    return onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])


def first_line(error: Exception) -> str:
    """Return the first line of an error, without the prefix of ONNX Runtime."""
    lines = str(error).strip().splitlines() or [type(error).__name__]
    return lines[0].removeprefix("[ONNXRuntimeError] : ")
