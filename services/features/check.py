"""``python -m services.features.check FOLDER...``: report what features would refuse of a loop, and its views."""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from types import ModuleType

from driftloop.featurestore import feast_import

feast_import.load()

from feast import FeatureStore  # noqa: E402

from driftloop.featurestore.feast_client import open_store  # noqa: E402
from driftloop.loop import Loop  # noqa: E402
from driftloop.loop.code import load_features  # noqa: E402
from driftloop.loop.findings import Effect, Findings, Read, answer  # noqa: E402
from driftloop.loop.source_lines import SourceLines  # noqa: E402
from driftloop.loop.undefined_names import undefined_names  # noqa: E402
from driftloop.process.errors import LoopDefinitionError  # noqa: E402
from driftloop.process.settings import Settings  # noqa: E402  # after Feast
from services.features.adapters.feast_views import apply, entity_conflicts, feast_objects  # noqa: E402
from services.features.domain.views import ViewSpec  # noqa: E402
from services.features.releases_in_use import in_use_problems  # noqa: E402

_KEYS = {"string": ("string",), "int64": ("int32", "int64")}
_TEXTS = ("string", "int32", "int64")
_NUMBERS = ("bool", "int32", "int64", "float", "double")
"""Types of columns that a view can read."""


def inspect(loop: Loop, settings: Settings) -> Findings:
    """Return the loop's views and features, from a temporary registry."""
    views, problems, features = list[ViewSpec](), list[str](), tuple[tuple[str, str], ...]()
    with tempfile.TemporaryDirectory() as home:
        store = open_store(settings.model_copy(update={"home": Path(home), "state_url": ""}))
        try:
            views = apply(store, [loop], settings.feature_repo)[loop.name]
            features = tuple(_features(store, loop))
        except LoopDefinitionError as error:
            problems += error.problems
    reads: list[Read] = []
    if views:
        module = load_features(loop.name, settings.feature_repo)
        problems += undefined_names(module)
        problems += _conflicts(loop, module, settings)
        problems += _repeated_names(loop, features)
        reads += _reads(views, module)
    problems += _unknown_inputs(loop, views)
    problems += in_use_problems(loop, views, settings) if views else []
    effects = (
        Effect("view", view.view, f"{len(view.features)} features by {', '.join(view.feed.join_keys)}")
        for view in views
    )
    return Findings(tuple(problems), tuple(effects), reads=tuple(reads), features=features)


def _features(store: FeatureStore, loop: Loop) -> Iterator[tuple[str, str]]:
    for projection in store.get_feature_service(loop.definition.prediction.feature_service).feature_view_projections:
        for feature in projection.features:
            dtype = "string" if str(feature.dtype) == "String" else "double"
            yield f"{projection.name_to_use()}__{feature.name}", dtype


def _reads(views: Iterable[ViewSpec], module: ModuleType) -> Iterator[Read]:
    lines, objects = SourceLines(module), {item.name: item for item in feast_objects(module)}
    for view in views:
        reads = [(key, _KEYS[kind]) for key, kind in zip(view.feed.join_keys, view.key_kinds, strict=True)]
        reads += [(sum_.column, _NUMBERS) for sum_ in view.aggregates if sum_.function == "sum"]
        reads += [(latest.name, _TEXTS if latest.kind == "string" else _NUMBERS) for latest in view.latest]
        for column, types in dict.fromkeys(reads):
            yield Read(lines.of(objects[view.view], column), view.view, view.feed.event_type, column, types)


def _conflicts(loop: Loop, module: ModuleType, settings: Settings) -> Iterator[str]:
    """Yield problems beside the Feast definitions of the other loops."""
    for other in sorted(settings.loops_dir.glob("*/loop.yaml")):
        if other.parent.name != loop.name:
            with suppress(LoopDefinitionError):  # the check of that loop reports it
                yield from entity_conflicts(
                    module, load_features(other.parent.name, settings.feature_repo), other.parent.name
                )


def _repeated_names(loop: Loop, features: Iterable[tuple[str, str]]) -> Iterator[str]:
    for name, _ in features:
        if name in loop.definition.prediction.inputs:
            where = loop.line_of("prediction", "inputs", name)
            yield f"{where}: prediction.inputs.{name}: a feature has this name, too; rename the input"


def _unknown_inputs(loop: Loop, views: list[ViewSpec]) -> Iterator[str]:
    """Return detectors on an input that the model will not have; or on a feature, if the views are known."""
    features = {f"{view.view}__{name}" for view in views for name in view.features}
    inputs = loop.definition.prediction.inputs
    known = {"score", *(name for name, declared in inputs.items() if declared.model), *features}
    for name, detector in loop.definition.monitoring.detectors.items():
        judged = detector.on is not None and (views or "__" not in detector.on)
        if judged and detector.on not in known:
            where = loop.line_of("monitoring", "detectors", name, "on")
            why = "has `model: false`, so no training data to compare with" if detector.on in inputs else "is unknown"
            yield (
                f"{where}: monitoring.detectors.{name}.on: {detector.on!r} {why}; "
                "give score, an input of the model, or <view>__<feature>"
            )


if __name__ == "__main__":
    sys.exit(answer(inspect))
