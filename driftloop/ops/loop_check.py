"""Asks every service what it makes of some loops."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from driftloop.loop import Loop, load_loop
from driftloop.loop.effects import effects_of
from driftloop.loop.findings import KINDS, Findings
from driftloop.process.errors import ConfigError, LoopDefinitionError
from driftloop.process.settings import ROOT, Settings

ASKED = ("services.ingestion.check", "services.features.check", "services.training.check")
"""Modules that are run, each in a process of its own: one needs DuckDB, one Feast, one the trainer's libraries."""


def inspect(settings: Settings, names: Sequence[str] = ()) -> dict[str, Findings]:
    """What is wrong with the loops of these names, or with all, and what they will bring about; by name.

    Raises:
        ConfigError: there is no such loop, or none at all.
    """
    found: dict[str, Findings] = {}
    loops: list[Loop] = []
    for folder in _folders(settings.loops_dir, names):
        try:
            loops.append(load_loop(folder))
        except LoopDefinitionError as error:
            found[folder.name] = Findings(tuple(error.problems))
    answers = _answers([loop.folder for loop in loops], settings) if loops else []
    for loop in loops:
        found[loop.name] = _together(loop, [each[loop.name] for each in answers])
    return {name: found[name] for name in sorted(found)}


def _folders(loops: Path, names: Sequence[str]) -> list[Path]:
    known = {path.parent.name: path.parent for path in sorted(loops.glob("*/loop.yaml"))}
    if not known:
        raise ConfigError(f"there is no loop below {loops}; set DRIFTLOOP_LOOPS_DIR to the folder that holds yours")
    for name in names:
        if name not in known:
            raise ConfigError(f"there is no loop {name!r} below {loops}; there is {', '.join(known)}")
    return [known[name] for name in (names or known)]


def _answers(folders: Sequence[Path], settings: Settings) -> list[Mapping[str, Findings]]:
    """Of each module, findings by loop. All run at once."""
    places = {"DRIFTLOOP_HOME": str(settings.home), "DRIFTLOOP_FEATURE_REPO": str(settings.feature_repo)}
    environment = {**os.environ, **places}
    running = [
        (module, subprocess.Popen(
            [sys.executable, "-m", module, *map(str, folders)],
            cwd=ROOT, env=environment, text=True,
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        ))
        for module in ASKED
    ]  # fmt: skip
    try:
        return [_answer(module, process, folders) for module, process in running]
    finally:
        for _, process in running:
            process.kill()
            process.wait()


def _answer(module: str, process: subprocess.Popen[str], folders: Iterable[Path]) -> Mapping[str, Findings]:
    out, errors = process.communicate()
    if process.returncode:
        last = (errors.strip().splitlines() or ["it said nothing"])[-1]
        problem = f"{module} ended with exit code {process.returncode}: {last}"
        return {folder.name: Findings((f"{folder / 'loop.yaml'}:1: {problem}",)) for folder in folders}
    return {name: Findings.from_json(found) for name, found in json.loads(out).items()}


def _together(loop: Loop, answers: Sequence[Findings]) -> Findings:
    effects = [*(effect for each in answers for effect in each.effects), *effects_of(loop.definition)]
    whole = Findings(
        tuple(dict.fromkeys(problem for each in answers for problem in each.problems)),
        tuple(sorted(effects, key=lambda each: KINDS.index(each.kind))),
    )
    return replace(whole, effects=()) if whole.problems else whole
