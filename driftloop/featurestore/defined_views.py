"""Which views are defined: the features service records them at its start, for services that do not import Feast."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping

from driftloop.loop.definition import PredictionDefinition
from driftloop.model.bundle import Manifest
from driftloop.process.object_store import read_file, write_file
from driftloop.process.settings import Settings

Views = Mapping[str, Mapping[str, str]]
"""Kind of each feature (double or string), by view."""
_NAME = "views.json"


def write_defined_views(settings: Settings, loops: Mapping[str, Views]) -> None:
    """Record the views of these loops. Loops that are left out of this start keep their record."""
    write_file(settings.shared / "feast", _NAME, json.dumps({**_read(settings), **loops}, indent=1).encode())


def read_defined_views(settings: Settings, loop: str) -> Views | None:
    """Return the recorded views of a loop; None if nothing was recorded."""
    return _read(settings).get(loop)


def undefined_inputs(manifest: Manifest, views: Views, prediction: PredictionDefinition) -> Iterator[str]:
    """Return the inputs that a release reads and that the definitions lack, or have as another type."""
    for column in (*manifest.numeric, *manifest.categorical):
        if column.source == "feature":
            kind = views.get(column.view, {}).get(column.feature)
        else:
            declared = prediction.inputs.get(column.name)
            kind = None if declared is None else "string" if declared.type == "string" else "double"
        if kind != column.dtype:
            yield column.name


def _read(settings: Settings) -> dict[str, Views]:
    """Return all records; none if the file is missing or damaged: the next start of features writes it again."""
    try:
        loops: dict[str, Views] = json.loads(read_file(settings.shared / "feast", _NAME) or b"{}")
    except ValueError:
        return {}
    return loops
