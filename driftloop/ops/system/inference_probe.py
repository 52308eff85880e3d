"""One real inference by Triton, with a model for this alone: before a loop's first champion it has no other."""

from __future__ import annotations

import random
import shutil
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from driftloop.ops.system.probes import Deadline
from driftloop.process.errors import DriftloopError
from driftloop.process.settings import ROOT, Settings
from driftloop.process.triton_control import CONTROL_HEADER

MODEL = "driftloop_probe"
_CALL_S = 30.0
_UNLOAD_S = 10.0
_CHECK_S = 0.05
SOURCE = ROOT / "infra" / "triton" / "probe"
"""The model: it gives a float64 [1] back as it came."""


def probe_inference(settings: Settings, deadline: Deadline) -> None:
    """Put the echo model into Triton's repository, load it, request one inference, and remove it again.

    Raises:
        DriftloopError: Triton did not load the model, did not answer in time, or returned another value.
    """
    import tritonclient.grpc as grpc  # slow to import, and most commands do not need it
    from tritonclient.utils import InferenceServerException

    log = settings.home / "logs" / f"{settings.with_triton('triton')}.log"
    client = grpc.InferenceServerClient(settings.triton_grpc)
    try:
        with _stored(settings.triton / "models" / MODEL), _loaded(client, settings):
            value = random.random()
            echo = _infer(client, value, deadline)
    except InferenceServerException as error:
        [reason, *_] = error.message().splitlines() or [""]
        raise DriftloopError(f"Triton did not answer an inference: {reason}; see {log}") from error
    except OSError as error:
        raise DriftloopError(f"the model {MODEL} could not be put into Triton's repository: {error}") from error
    finally:
        client.close()
    if echo != value:
        raise DriftloopError(f"Triton's echo model returned {echo} for {value}; see {log}")


@contextmanager
def _stored(folder: Path) -> Iterator[None]:
    shutil.rmtree(folder, ignore_errors=True)  # left by a killed probe, or put there by somebody
    shutil.copytree(SOURCE, folder, ignore=shutil.ignore_patterns("__pycache__"))
    try:
        yield
    finally:
        shutil.rmtree(folder)


@contextmanager
def _loaded(client: Any, settings: Settings) -> Iterator[None]:
    """Wait for a load even if the caller has timed out: an unload during a load hangs Triton."""
    headers = {CONTROL_HEADER: settings.control_token()}
    try:
        client.load_model(MODEL, headers=headers, client_timeout=_CALL_S)
        yield
    finally:
        _unload(client, headers)


def _unload(client: Any, headers: Mapping[str, str]) -> None:
    """Unload the model and wait until it is gone: while a model unloads, Triton reports that it is not ready."""
    deadline = time.monotonic() + _UNLOAD_S
    client.unload_model(MODEL, headers=headers, client_timeout=_UNLOAD_S)
    while time.monotonic() < deadline:
        index = client.get_model_repository_index(headers=headers, client_timeout=_UNLOAD_S)
        if not any(model.name == MODEL and model.state == "UNLOADING" for model in index.models):
            return
        time.sleep(_CHECK_S)
    raise DriftloopError(f"Triton did not unload {MODEL} within {_UNLOAD_S:.0f} s")


def _infer(client: Any, value: float, deadline: Deadline) -> float:
    import numpy as np
    import tritonclient.grpc as grpc

    tensor = grpc.InferInput("value", [1], "FP64")
    tensor.set_data_from_numpy(np.array([value]))
    answer = client.infer(MODEL, [tensor], client_timeout=min(_CALL_S, deadline.remaining_s()))
    return float(answer.as_numpy("echo")[0])
