"""Checks loops for training and prints the trainer: ``python -m services.training.check FOLDER...``."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator

from driftloop.loop import Loop
from driftloop.loop.effects import span_text
from driftloop.loop.findings import Effect, answer
from driftloop.process.errors import LoopDefinitionError
from driftloop.process.settings import Settings
from services.training.domain import population
from services.training.run.trainers import load_trainer


def inspect(loop: Loop, _settings: Settings) -> Iterator[Effect]:
    """Yield the trainer that runs.

    Raises:
        LoopDefinitionError: the trainer cannot be loaded, or an event lacks a column that a run reads.
    """
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
    except LoopDefinitionError as error:
        problems += error.problems
    if problems:
        raise LoopDefinitionError(problems)
    yield effect


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
