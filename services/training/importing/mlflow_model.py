"""Finds the ONNX file and column names of a model in MLflow, or in a folder that MLflow wrote."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from driftloop.model.onnx_session import first_line
from services.training import mlflow_import
from services.training.domain.matching import Mismatch

_MLMODEL = "MLmodel"
_EXPORTS = {
    "sklearn": "skl2onnx.to_onnx(model, X[:1]) with numbers as float32",
    "xgboost": "onnxmltools.convert_xgboost(model, initial_types=...)",
    "pytorch": "torch.onnx.export(model, ..., dynamic_axes=...)",
    "lightgbm": "onnxmltools.convert_lightgbm(model, initial_types=...)",
}


@dataclass(frozen=True)
class LoggedModel:
    """A model's ONNX file, and its column names from MLflow's signature; empty if it has none."""

    path: Path
    columns: tuple[str, ...]


def fetch(uri: str, tracking_uri: str, scratch: Path) -> LoggedModel:
    """Fetch a model by ``models:/name/version``, ``runs:/<run id>/<path>``, or a folder with an `MLmodel` file.

    Raises:
        Mismatch: the model is missing, has no ONNX flavor, or names a file elsewhere.
    """
    folder = _download(uri, tracking_uri, scratch) if ":/" in uri else Path(uri)
    metadata = _read_metadata(folder)
    try:
        flavors = metadata.get("flavors", {})
        if "onnx" not in flavors:
            raise Mismatch(_no_onnx(flavors))
        name, columns = flavors["onnx"].get("data", "model.onnx"), _columns(metadata)
        path = (folder / name).resolve()
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise Mismatch(f"{folder / _MLMODEL} is not an {_MLMODEL} file of MLflow: {error!r}") from error
    if not path.is_relative_to(folder.resolve()):
        raise Mismatch(f"{folder / _MLMODEL} names {name!r}, which is outside of the model's folder")
    return LoggedModel(path, columns)


def _download(uri: str, tracking_uri: str, scratch: Path) -> Path:
    mlflow_import.load()
    import mlflow
    from mlflow.artifacts import download_artifacts
    from mlflow.exceptions import MlflowException

    address = os.environ.get("MLFLOW_TRACKING_URI") or tracking_uri
    mlflow.set_tracking_uri(address)  # also sets the registry's address, which an argument of the download does not
    try:
        return Path(download_artifacts(artifact_uri=uri, dst_path=str(scratch)))
    except (MlflowException, OSError, ValueError) as error:
        raise Mismatch(f"MLflow at {address} cannot provide it: {first_line(error)}") from error


def _read_metadata(folder: Path) -> dict[str, Any]:
    path = folder / _MLMODEL
    try:
        metadata = yaml.safe_load(path.read_text())
    except (OSError, yaml.YAMLError) as error:
        raise Mismatch(f"{folder} has no readable {_MLMODEL} file of MLflow") from error
    if not isinstance(metadata, dict):
        raise Mismatch(f"{path} is not an {_MLMODEL} file of MLflow")
    return metadata


def _no_onnx(flavors: dict[str, Any]) -> str:
    names = ", ".join(name for name in flavors if name != "python_function") or "none"
    export = next((text for name, text in _EXPORTS.items() if name in flavors), "its library's exporter")
    return (
        f"it has the MLflow flavor {names}, not onnx, and driftloop runs no pickled code: export it with {export} and "
        "import the file with --onnx, or log it with mlflow.onnx.log_model"
    )


def _columns(metadata: dict[str, Any]) -> tuple[str, ...]:
    columns = json.loads((metadata.get("signature") or {}).get("inputs") or "[]")
    return tuple(column["name"] for column in columns if column.get("name") and column.get("type") != "tensor")
