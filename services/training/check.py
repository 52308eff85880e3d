"""Checks loops for training and prints the trainer: ``python -m services.training.check FOLDER...``."""

from __future__ import annotations

import inspect as inspection
import sys
from collections.abc import Iterable, Iterator

from driftloop.loop import Loop
from driftloop.loop.code import defined_at
from driftloop.loop.effects import span_text
from driftloop.loop.findings import Effect, Findings, Read, answer
from driftloop.loop.undefined_names import undefined_names
from driftloop.model.trainer import Trainer
from driftloop.process.errors import LoopDefinitionError
from driftloop.process.settings import Settings
from services.training.domain import population
from services.training.run.trainers import load_trainer, own_modules

_KEYS = ("string", "int32", "int64")
_INTEGERS = ("int32", "int64", "bool")
_BY_INPUT = {
    "string": ("string", "int32", "int64"),  # the text of a fraction depends on who writes it
    "int64": _INTEGERS,
    "double": (*_INTEGERS, "float", "double"),
}
"""Types of columns by type of the input that has the value at prediction time."""


def inspect(loop: Loop, _settings: Settings) -> Findings:
    """Return the trainer that runs, and the columns that a run reads."""
    problems = list(_missing_columns(loop))
    training = loop.definition.training
    limits = f"{training.memory_limit_mib} MiB and {span_text(training.time_limit)} at most"
    effect = Effect("trainer", "none", f"no model is trained; import one with `driftloop import {loop.name}`; {limits}")
    try:
        if training.trainer is not None:
            trainer = load_trainer(loop)
            effect = Effect(
                "trainer", training.trainer, f"{type(trainer).__module__}.{type(trainer).__name__}; {limits}"
            )
            problems += _signature_problems(trainer)
            for module in own_modules(loop):
                problems += undefined_names(module)
    except LoopDefinitionError as error:
        problems += error.problems
    return Findings(tuple(problems), (effect,), reads=tuple(_reads(loop)))


def _signature_problems(trainer: Trainer) -> Iterator[str]:
    """Yield why `fit` cannot be called as a run calls it."""
    try:
        inspection.signature(trainer.fit).bind(object(), object(), parameters={}, seed=0)
    except TypeError as error:
        file, line = defined_at(type(trainer).fit) or (inspection.getfile(type(trainer)), 1)
        yield f"{file}:{line}: fit: {error}; a run calls fit(train, validation, parameters=..., seed=...)"


def _reads(loop: Loop) -> Iterator[Read]:
    prediction, label = loop.definition.prediction, loop.definition.label
    path: tuple[str, ...] = ("prediction", "decision_time", "column")
    yield _read(loop, path, prediction.source, prediction.decision_time.column, ("int64",))
    yield _read(loop, ("prediction", "key"), prediction.source, prediction.key, _KEYS)
    for name, declared in prediction.inputs.items():
        path = ("prediction", "inputs", name)
        yield _read(loop, path, prediction.source, declared.column or name, _BY_INPUT[declared.type])
    yield _read(loop, ("label", "key"), label.source, label.key, _KEYS)


def _read(loop: Loop, path: tuple[str, ...], event_type: str, column: str, types: tuple[str, ...]) -> Read:
    return Read(loop.line_of(*path), ".".join(path), event_type, column, types)


def _missing_columns(loop: Loop) -> Iterator[str]:
    prediction, label = loop.definition.prediction, loop.definition.label
    keys: dict[str, tuple[str, ...]] = {
        prediction.decision_time.column: ("prediction", "decision_time"),
        prediction.key: ("prediction", "key"),
    }
    keys |= {i.column or name: ("prediction", "inputs", name) for name, i in prediction.inputs.items()}
    yield from _check_columns(loop, prediction.source, population.columns_of(prediction), keys)
    keys = {label.key: ("label", "key"), label.value: ("label", "value")}
    yield from _check_columns(loop, label.source, population.outcome_columns_of(label), keys)


def _check_columns(
    loop: Loop, event_type: str, columns: Iterable[str], keys: dict[str, tuple[str, ...]]
) -> Iterator[str]:
    event = loop.definition.events[event_type]
    fields = set(loop.messages[event_type].DESCRIPTOR.fields_by_name)
    known = {*fields, *event.derive, *population.TIMES, *population.POSITION}
    for column in columns:
        if column not in known:
            yield f"{loop.line_of(*keys[column])}: {event_type} has no column {column!r}"


if __name__ == "__main__":
    sys.exit(answer(inspect))
