"""Logs a run to MLflow: parameters, metrics, tags and the bundle's files."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from services.training.spec import RunSpec

RUN_TAG = "driftloop.run_id"
"""Tag that identifies a run across launches."""
_MAX_LENGTH = 500


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
        params=[Param(name, value[:_MAX_LENGTH]) for name, value in sorted(logged.parameters.items())],
        tags=[RunTag(name, value) for name, value in sorted(logged.tags.items())],
    )
    client.log_artifacts(run.info.run_id, str(folder), "bundle")
    client.set_terminated(run.info.run_id)
    _delete_other_runs(client, experiment, spec.run_id, str(run.info.run_id))
    return str(run.info.run_id)


def _experiment(client: Any, spec: RunSpec) -> str:
    from mlflow.exceptions import MlflowException

    experiment = client.get_experiment_by_name(spec.loop)
    if experiment is None:
        try:
            return str(client.create_experiment(spec.loop, spec.mlflow_artifacts or None))
        except MlflowException:
            experiment = client.get_experiment_by_name(spec.loop)
            if experiment is None:
                raise
    return str(experiment.experiment_id)


def _delete_other_runs(client: Any, experiment: str, run_id: str, kept: str) -> None:
    """Delete the entry of an earlier launch of the same run that was killed."""
    for run in client.search_runs([experiment], f"tags.`{RUN_TAG}` = '{run_id}'"):
        if run.info.run_id != kept:
            client.delete_run(run.info.run_id)
