"""Lists the inputs of a loop's model in order: features of the feature service, then request inputs."""

from __future__ import annotations

from typing import Any, Literal

from driftloop.loop.definition import InputDefinition, PredictionDefinition
from driftloop.model.bundle import Input

_NUMBER: Literal["double"] = "double"
_TEXT: Literal["string"] = "string"


def model_inputs(store: Any, prediction: PredictionDefinition) -> list[Input]:
    """Return all inputs; ``store`` is a `feast.FeatureStore`.

    Raises:
        feast.errors.FeatureServiceNotFoundException: the features service has not applied its definitions yet.
    """
    request = [request_input(name, declared) for name, declared in prediction.inputs.items() if declared.model]
    return [*service_inputs(store, prediction.feature_service), *request]


def service_inputs(store: Any, service_name: str) -> list[Input]:
    """Return the features of a feature service as inputs."""
    inputs = []
    for projection in store.get_feature_service(service_name).feature_view_projections:
        view = projection.name_to_use()
        for feature in projection.features:
            is_text = str(feature.dtype) == "String"
            name, dtype = f"{view}__{feature.name}", _TEXT if is_text else _NUMBER
            inputs.append(Input(name, "feature", dtype, projection.name, feature.name))
    return inputs


def request_input(name: str, declared: InputDefinition) -> Input:
    """Return the input for a value that a caller sends, a string or a number."""
    return Input(name, "request", _TEXT if declared.type == "string" else _NUMBER)
