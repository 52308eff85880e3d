"""Renders a loop's Triton model from its definition: ``config.pbtxt``, ``1/model.py`` and ``1/loop.json``."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import KW_ONLY, dataclass
from pathlib import Path
from types import MappingProxyType

from driftloop.loop import LoopDefinition, to_ms
from services.serving.domain.loop_config import DECISION_TIME, InputType, KeySource, LoopConfig, OnlineSource

MAX_BATCH = 256
_DATATYPE = {"string": "TYPE_STRING", "int64": "TYPE_INT64", "double": "TYPE_FP64"}
_OUTPUTS = {
    "score": "TYPE_FP64",
    "prediction_id": "TYPE_STRING",
    "release_id": "TYPE_STRING",
    "feature_age_s": "TYPE_FP64",
}
_SHIM = '''"""Rendered: the model is services/serving/router/model.py."""

from services.serving.router.model import TritonPythonModel  # noqa: F401
'''


@dataclass(frozen=True, slots=True)
class RouterPaths:
    """Paths that the router reads and writes."""

    online_db: Path
    releases: Path
    routes: Path
    spool: Path
    """Root of all loops' spools."""
    probe_secret: Path
    """File with the probe secret."""
    _: KW_ONLY
    online_url: str = ""
    """Address of the online store if it is Redis, not `online_db`."""
    online_password_file: str = ""
    online_ca_file: str = ""

    @property
    def online(self) -> OnlineSource:
        return OnlineSource(str(self.online_db), self.online_url, self.online_password_file, self.online_ca_file)


def model_files(definition: LoopDefinition, paths: RouterPaths, queue_delay_us: int) -> dict[str, bytes]:
    """Return the content of each file in the model's folder, by relative path."""
    return {
        "config.pbtxt": config_pbtxt(definition, queue_delay_us).encode(),
        "1/model.py": _SHIM.encode(),
        "1/loop.json": loop_config(definition, paths).to_json(),
    }


def input_types(definition: LoopDefinition) -> dict[str, InputType]:
    """Return the type of each model input: the key, the loop's inputs, and the decision time if callers send it."""
    prediction = definition.prediction
    types: dict[str, InputType] = {prediction.key: "string"}
    if prediction.clock == "request":
        types[DECISION_TIME] = "int64"
    return types | {name: source.type for name, source in prediction.inputs.items()} | {prediction.key: "string"}


def loop_config(definition: LoopDefinition, paths: RouterPaths) -> LoopConfig:
    """Return the router's configuration of a loop."""
    prediction = definition.prediction
    return LoopConfig(
        loop=definition.loop,
        key=prediction.key,
        clock=prediction.clock,
        inputs={name: source.type for name, source in prediction.inputs.items()},
        join_keys={
            name: KeySource(input=source.input or "", const=source.const or "")
            for name, source in prediction.join_keys.items()
        },
        max_feature_age_ms=None if prediction.max_feature_age is None else to_ms(prediction.max_feature_age),
        online_db=str(paths.online_db),
        releases=str(paths.releases),
        routes=str(paths.routes),
        spool=str(paths.spool / definition.loop),
        probe_secret=str(paths.probe_secret),
        block_ms=to_ms(definition.monitoring.block),
        lateness_ms=to_ms(definition.time.lateness),
        max_advance_ms=to_ms(definition.time.max_advance),
        classes=definition.label.classes,
        online_url=paths.online_url,
        online_password_file=paths.online_password_file,
        online_ca_file=paths.online_ca_file,
        slices=tuple(sorted({rule.input for rule in definition.monitoring.slices.values()})),
    )


def config_pbtxt(definition: LoopDefinition, queue_delay_us: int) -> str:
    """Return Triton's model configuration. Its dims are fixed, so Triton refuses any other shape.

    Its version is fixed too: without a policy, Triton runs the code of the folder with the greatest number.
    """
    inputs = {name: _DATATYPE[kind] for name, kind in input_types(definition).items()}
    return "\n".join(
        [
            f'name: "{definition.loop}"',
            'backend: "python"',
            f"max_batch_size: {MAX_BATCH}",
            "version_policy { specific { versions: [ 1 ] } }",
            *_tensors("input", inputs),
            *_tensors("output", _OUTPUTS, {"score": len(definition.label.classes) or 1}),
            "instance_group [ { count: 1 kind: KIND_CPU } ]",
            f"dynamic_batching {{ max_queue_delay_microseconds: {queue_delay_us} }}",
            "",
        ]
    )


def _tensors(kind: str, types: Mapping[str, str], dims: Mapping[str, int] = MappingProxyType({})) -> list[str]:
    return [
        f'{kind} [ {{ name: "{name}" data_type: {datatype} dims: [ {dims.get(name, 1)} ] }} ]'
        for name, datatype in types.items()
    ]
