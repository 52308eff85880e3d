"""The files that agent and router exchange. Each is replaced atomically."""

from __future__ import annotations

import shutil
from collections.abc import Collection
from pathlib import Path

from driftloop.loop import LoopDefinition
from driftloop.process.atomic_file import replace_file
from services.serving.domain.model_config import RouterPaths, model_files
from services.serving.domain.route import Route, RouteStatus, parse_status


def _keep_only(folder: Path, files: Collection[Path]) -> None:
    """Remove everything else from a model's folder: Triton and Python run more than the files that we render.

    Triton prefers a stub of the model's own, and Python a compiled file in ``__pycache__``.
    """
    kept = {*files, *(parent for path in files for parent in path.parents)}
    for path in list(folder.rglob("*")):
        if path.is_symlink() or (path.is_file() and path not in files):
            path.unlink(missing_ok=True)
        elif path not in kept:
            shutil.rmtree(path, ignore_errors=True)


class FolderRouterFiles:
    """`services.serving.ports.RouterFiles` on local disk."""

    def __init__(self, models: Path, paths: RouterPaths, queue_delay_us: int) -> None:
        self._models = models
        self._paths = paths
        self._queue_delay_us = queue_delay_us

    def render_model(self, definition: LoopDefinition) -> bool:
        folder, changed = self._models / definition.loop, False
        files = {
            folder / name: content
            for name, content in model_files(definition, self._paths, self._queue_delay_us).items()
        }
        _keep_only(folder, files)
        for path, content in files.items():
            if path.exists() and path.read_bytes() == content:
                continue
            replace_file(path, content)
            changed = True
        return changed

    def announce(self, route: Route) -> None:
        self._status(route.loop).unlink(missing_ok=True)
        replace_file(self._route(route.loop), route.to_json())

    def withdraw(self, loop: str) -> None:
        self._route(loop).unlink(missing_ok=True)
        self._status(loop).unlink(missing_ok=True)

    def status(self, loop: str) -> RouteStatus | None:
        try:
            return parse_status(self._status(loop).read_bytes())
        except (FileNotFoundError, ValueError):  # none yet, or a damaged one, which the next route replaces
            return None

    def _route(self, loop: str) -> Path:
        return self._paths.routes / f"{loop}.json"

    def _status(self, loop: str) -> Path:
        return self._paths.routes / f"{loop}.status.json"
