"""Echo model: with it, `driftloop up` tests that a Triton without other models answers inferences."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import triton_python_backend_utils as pb_utils


class TritonPythonModel:
    """Created and called by Triton's python backend."""

    def execute(self, requests: Sequence[Any]) -> list[Any]:
        """Return the input ``value``, float64 [1], of each request as ``echo``."""
        return [pb_utils.InferenceResponse(output_tensors=[_echo(request)]) for request in requests]


def _echo(request: Any) -> Any:
    value = pb_utils.get_input_tensor_by_name(request, "value").as_numpy()
    return pb_utils.Tensor("echo", np.asarray(value, dtype=np.float64))
