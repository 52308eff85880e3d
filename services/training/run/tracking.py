"""Logs a run to MLflow: parameters, metrics, tags and the bundle's files."""

from __future__ import annotations

import importlib.metadata
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from services.training.spec import RunSpec

RUN_TAG = "driftloop.run_id"
"""Tag that identifies a run across launches."""
_LONGEST = 500
_ENVIRONMENT = {
    "MLFLOW_ALLOW_MODEL_CODE_EXECUTION": "false",
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "3",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "60",
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
    "GIT_PYTHON_REFRESH": "quiet",
}


def prepare() -> None:
    """Import MLflow (3 s) so that nothing in its stores can run code. Runs while the frame is joined."""
    os.environ.update(_ENVIRONMENT)
    import mlflow.tracking  # noqa: F401  # imported for its cost, used below
    from mlflow.utils import plugins

    plugins._get_entry_points = _entry_points


def _entry_points(group: str) -> Any:
    """Return MLflow's plugins without Feast's, which adds headers that we do not send and loads all of Feast: 6 s."""
    return () if group == "mlflow.request_header_provider" else importlib.metadata.entry_points(group=group)


@dataclass(frozen=True, slots=True)
class Logged:
    """The values to log for a run."""

    parameters: Mapping[str, str]
    metrics: Mapping[str, float]
    tags: Mapping[str, str]


def log_run(spec: RunSpec, logged: Logged, folder: Path) -> str:
    """Log a finished run with a folder's files as artifacts; return its MLflow id.

    Raises:
        mlflow.exceptions.MlflowException: MLflow refuses or does not answer.
    """
    from mlflow.entities import Metric, Param, RunTag
    from mlflow.tracking import MlflowClient

    client = MlflowClient(tracking_uri=spec.mlflow_uri)
    experiment = _experiment(client, spec)
    run = client.create_run(experiment, run_name=spec.run_id, tags={RUN_TAG: spec.run_id, "driftloop.loop": spec.loop})
    at_ms = int(run.info.start_time)
    client.log_batch(
        run.info.run_id,
        metrics=[Metric(name, value, at_ms, 0) for name, value in sorted(logged.metrics.items())],
        params=[Param(name, value[:_LONGEST]) for name, value in sorted(logged.parameters.items())],
        tags=[RunTag(name, value) for name, value in sorted(logged.tags.items())],
    )
    client.log_artifacts(run.info.run_id, str(folder), "bundle")
    client.set_terminated(run.info.run_id)
    _forget_others(client, experiment, spec.run_id, str(run.info.run_id))
    return str(run.info.run_id)


def _experiment(client: Any, spec: RunSpec) -> str:
    from mlflow.exceptions import MlflowException

    found = client.get_experiment_by_name(spec.loop)
    if found is None:
        try:
            return str(client.create_experiment(spec.loop, spec.mlflow_artifacts or None))
        except MlflowException:
            found = client.get_experiment_by_name(spec.loop)
            if found is None:
                raise
    return str(found.experiment_id)


def _forget_others(client: Any, experiment: str, run_id: str, kept: str) -> None:
    """Delete the entry of an earlier launch of the same run that was killed."""
    for run in client.search_runs([experiment], f"tags.`{RUN_TAG}` = '{run_id}'"):
        if run.info.run_id != kept:
            client.delete_run(run.info.run_id)
