"""Formats errors of other libraries."""

from __future__ import annotations


def first_line(error: Exception) -> str:
    """Return the first line of an error, without the prefix of ONNX Runtime."""
    lines = str(error).strip().splitlines() or [type(error).__name__]
    return lines[0].removeprefix("[ONNXRuntimeError] : ")
