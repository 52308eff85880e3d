"""Checks and tries loops that are new to a home, or have changed since, before `up` starts them."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from pathlib import Path

from driftloop.loop import Loop
from driftloop.ops.fit_check import try_loop
from driftloop.ops.loop_check import check_loops
from driftloop.process.atomic_file import replace_file
from driftloop.process.errors import LoopDefinitionError
from driftloop.process.settings import Settings


def check_new_loops(settings: Settings, loops: Sequence[Loop], progress: Callable[[str], None]) -> None:
    """Check new loops as `driftloop check --fit` does; ``progress`` is called with the name of each before its fit.

    A loop is new if this home has no events of it, or if its files differ from those that were checked last.

    Raises:
        LoopDefinitionError: the problems of the new loops.
    """
    checked = _read(settings)
    digests = {loop.name: loop_digest(loop, settings.feature_repo) for loop in loops}
    new = [loop for loop in loops if _is_new(loop, checked.get(loop.name), digests[loop.name], settings)]
    if not new:
        return
    findings = check_loops(settings, [loop.name for loop in new])
    problems = [problem for loop in new for problem in findings[loop.name].problems]
    for loop in new if not problems else []:
        progress(loop.name)
        problems += try_loop(settings, loop, findings[loop.name].features)
    if problems:
        raise LoopDefinitionError(problems)
    replace_file(_path(settings), json.dumps(checked | {loop.name: digests[loop.name] for loop in new}))


def loop_digest(loop: Loop, feature_repo: Path) -> str:
    """Return the sha256 (hex) of a loop's code and definitions."""
    files = [path for path in loop.folder.rglob("*") if path.suffix in (".py", ".yaml", ".binpb", ".proto")]
    digest = hashlib.sha256()
    for path in sorted([*files, *feature_repo.glob(f"{loop.name}.py")]):
        digest.update(f"{path.name}\x1f{hashlib.sha256(path.read_bytes()).hexdigest()}\n".encode())
    return digest.hexdigest()


def _is_new(loop: Loop, checked: str | None, digest: str, settings: Settings) -> bool:
    return checked != digest and (checked is not None or not (settings.lake / loop.name).exists())


def _path(settings: Settings) -> Path:
    return settings.home / "run" / "checked.json"


def _read(settings: Settings) -> dict[str, str]:
    path = _path(settings)
    return dict(json.loads(path.read_text())) if path.exists() else {}
