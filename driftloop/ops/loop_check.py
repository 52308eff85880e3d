"""Checks loops with every service."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from driftloop.loop import Loop, load_loop
from driftloop.loop.consistency import conflicts, contradictions, type_problems
from driftloop.loop.effects import effects_of
from driftloop.loop.findings import KINDS, Findings
from driftloop.ops.check_process import end_check, failure_of, start_check
from driftloop.process.errors import ConfigError, LoopDefinitionError
from driftloop.process.settings import Settings

CHECK_MODULES = (
    "services.ingestion.check",
    "services.features.check",
    "services.training.check",
    "services.monitoring.check",
)
"""Modules to run, each in a process of its own: one needs DuckDB, one Feast, one the trainer's libraries."""


def check_loops(settings: Settings, names: Sequence[str] = ()) -> dict[str, Findings]:
    """Return the problems and effects of the named loops, or of all, by name.

    Raises:
        ConfigError: there is no such loop, or none at all.
    """
    findings: dict[str, Findings] = {}
    loops: list[Loop] = []
    for folder in _folders(settings.loops_dir, names):
        try:
            loops.append(load_loop(folder))
        except LoopDefinitionError as error:
            findings[folder.name] = Findings(tuple(error.problems))
    answers = _answers([loop.folder for loop in loops], settings) if loops else []
    for loop in loops:
        findings[loop.name] = merge(loop, _others(loop, settings), [answer[loop.name] for answer in answers])
    return {name: findings[name] for name in sorted(findings)}


def _others(loop: Loop, settings: Settings) -> Iterator[Loop]:
    """Yield the other loops that can be loaded."""
    for path in sorted(settings.loops_dir.glob("*/loop.yaml")):
        with suppress(LoopDefinitionError):
            if path.parent.name != loop.name:
                yield load_loop(path.parent)


def _folders(loops: Path, names: Sequence[str]) -> list[Path]:
    known = {path.parent.name: path.parent for path in sorted(loops.glob("*/loop.yaml"))}
    if not known:
        raise ConfigError(f"{loops} has no loops; set DRIFTLOOP_LOOPS_DIR to the folder of your loops")
    for name in names:
        if name not in known:
            raise ConfigError(f"there is no loop {name!r} in {loops}; there are {', '.join(known)}")
    return [known[name] for name in (names or known)]


def _answers(folders: Sequence[Path], settings: Settings) -> list[Mapping[str, Findings]]:
    """Return each module's findings by loop; the modules run in parallel."""
    running = [(module, start_check(module, map(str, folders), settings)) for module in CHECK_MODULES]
    try:
        return [_answer(module, process, folders) for module, process in running]
    finally:
        for _, process in running:
            end_check(process)


def _answer(module: str, process: subprocess.Popen[str], folders: Iterable[Path]) -> Mapping[str, Findings]:
    out, errors = process.communicate()
    if failure := failure_of(process, errors):
        problem = f"{module} {failure}"
        return {folder.name: Findings((f"{folder / 'loop.yaml'}:1: {problem}",)) for folder in folders}
    return {name: Findings.from_json(finding) for name, finding in json.loads(out).items()}


def merge(loop: Loop, others: Iterable[Loop], answers: Sequence[Findings]) -> Findings:
    """Return one loop's findings of all services, and the problems that only show between services and loops."""
    columns = {name: types for answer in answers for name, types in answer.columns.items()}
    reads = [read for answer in answers for read in answer.reads]
    effects = [*(effect for answer in answers for effect in answer.effects), *effects_of(loop.definition)]
    problems = [
        *(problem for answer in answers for problem in answer.problems),
        *contradictions(loop),
        *conflicts(loop, others),
        *type_problems(reads, columns),
    ]
    return Findings(
        tuple(dict.fromkeys(problems)),
        () if problems else tuple(sorted(effects, key=lambda effect: KINDS.index(effect.kind))),
        columns,
        tuple(reads),
        tuple(feature for answer in answers for feature in answer.features),
        tuple(warning for answer in answers for warning in answer.warnings),
    )
