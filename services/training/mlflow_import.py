"""Imports MLflow safely and fast."""

from __future__ import annotations

import importlib.metadata
import os
from typing import Any

_ENVIRONMENT = {
    "MLFLOW_ALLOW_MODEL_CODE_EXECUTION": "false",
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "3",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "60",
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
    "GIT_PYTHON_REFRESH": "quiet",
}


def load() -> None:
    """Import MLflow (3 s) so that nothing in its stores can run code. Runs while the frame is joined."""
    os.environ.update(_ENVIRONMENT)
    import mlflow.tracking  # noqa: F401  # imported for its cost, used below
    from mlflow.utils import plugins

    plugins._get_entry_points = _entry_points


def _entry_points(group: str) -> Any:
    """Return MLflow's plugins without Feast's, which adds headers that we do not send and loads all of Feast: 6 s."""
    return () if group == "mlflow.request_header_provider" else importlib.metadata.entry_points(group=group)
