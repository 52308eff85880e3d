"""Answers what it is asked: a model by which a Triton that has no other shows that it infers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import triton_python_backend_utils as pb_utils


class TritonPythonModel:
    """Made and called by the python backend."""

    def execute(self, requests: Sequence[Any]) -> list[Any]:
        """Give each request its input back: ``asked``, float64 [1], as ``answered``."""
        return [pb_utils.InferenceResponse(output_tensors=[_answered(request)]) for request in requests]


def _answered(request: Any) -> Any:
    asked = pb_utils.get_input_tensor_by_name(request, "asked").as_numpy()
    return pb_utils.Tensor("answered", np.asarray(asked, dtype=np.float64))
