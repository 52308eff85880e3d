"""Whether a former champion can still answer: compares its bundle with the present definitions."""

from __future__ import annotations

from collections.abc import Iterable

from driftloop.featurestore.defined_views import read_defined_views, undefined_inputs
from driftloop.loop import Loop
from driftloop.model.bundle import MANIFEST, parse_manifest
from driftloop.model.path_relocation import path_resolver
from driftloop.process.errors import BundleError
from driftloop.process.settings import Settings
from services.registry.domain.release import ReleaseRecord

_SHOWN = 3


class GoneInputs:
    """`services.registry.handlers.Gone` over the bundle and what the features service has recorded."""

    def __init__(self, settings: Settings, loops: Iterable[Loop]) -> None:
        self._settings = settings
        self._loops = {loop.name: loop.definition.prediction for loop in loops}
        self._resolve_path = path_resolver(settings.home, settings.store_url)

    def __call__(self, loop: str, release: ReleaseRecord) -> str:
        views = read_defined_views(self._settings, loop)
        if views is None or loop not in self._loops:
            return ""
        try:
            manifest = parse_manifest((self._resolve_path(release.bundle_uri) / MANIFEST).read_bytes())
        except (OSError, BundleError):  # the serving agent reports it when it deploys the release
            return ""
        names = list(undefined_inputs(manifest, views, self._loops[loop]))
        if not names:
            return ""
        more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
        return (
            f"{release.release_id} reads {', '.join(names[:_SHOWN])}{more}, which the definitions no longer have. "
            "Define it again and restart the system, or train another release"
        )
