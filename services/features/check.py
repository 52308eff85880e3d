"""``python -m services.features.check FOLDER...``: report what features would refuse of a loop, and its views."""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from driftloop.featurestore import feast_import

feast_import.load()

from driftloop.featurestore.feast_client import open_store  # noqa: E402
from driftloop.loop import Loop  # noqa: E402
from driftloop.loop.findings import Effect, answer  # noqa: E402
from driftloop.process.errors import LoopDefinitionError  # noqa: E402
from driftloop.process.settings import Settings  # noqa: E402  # after Feast
from services.features.adapters.feast_views import apply  # noqa: E402
from services.features.domain.views import ViewSpec  # noqa: E402


def inspect(loop: Loop, settings: Settings) -> Iterator[Effect]:
    """Return the loop's views, from a temporary registry.

    Raises:
        LoopDefinitionError: all problems of the definitions.
    """
    views, problems = list[ViewSpec](), list[str]()
    with tempfile.TemporaryDirectory() as home:
        store = open_store(settings.model_copy(update={"home": Path(home), "state_url": ""}))
        try:
            views = apply(store, [loop], settings.feature_repo)[loop.name]
        except LoopDefinitionError as error:
            problems += error.problems
    problems += _unknown_inputs(loop, views)
    if problems:
        raise LoopDefinitionError(problems)
    for view in views:
        yield Effect("view", view.view, f"{len(view.features)} features by {', '.join(view.feed.join_keys)}")


def _unknown_inputs(loop: Loop, views: list[ViewSpec]) -> Iterator[str]:
    """Return detectors on an input that the model will not have; or on a feature, if the views are known."""
    features = {f"{view.view}__{name}" for view in views for name in view.features}
    known = {"score", *loop.definition.prediction.inputs, *features}
    for name, detector in loop.definition.monitoring.detectors.items():
        judged = detector.on is not None and (views or "__" not in detector.on)
        if judged and detector.on not in known:
            where = loop.line_of("monitoring", "detectors", name)
            yield f"{where}: {name} is on {detector.on!r}; give score, an input, or <view>__<feature>"


if __name__ == "__main__":
    sys.exit(answer(inspect))
