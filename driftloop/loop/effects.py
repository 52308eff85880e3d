"""What a definition alone says about what will happen."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

from driftloop.bus.dead_letters import SUFFIX
from driftloop.loop.definition import DetectorDefinition, LoopDefinition, Step
from driftloop.loop.findings import Effect

_UNITS = (("d", timedelta(days=1)), ("h", timedelta(hours=1)), ("m", timedelta(minutes=1)), ("s", timedelta(seconds=1)))
_TESTS = {
    "block_residual": "mean of score less outcome by block, against zero",
    "block_loss": "mean loss by block, against the release's first blocks",
    "psi": "population stability index",
}
_CLASS_TESTS = {
    **_TESTS,
    "block_residual": "mean probability of the likeliest class less accuracy by block, against zero",
}
_SHOWN_CLASSES = 6


def effects_of(definition: LoopDefinition) -> Iterator[Effect]:
    """Topics, the model that callers ask, runs, detectors and stages, in that order."""
    for name, event in definition.events.items():
        letters = f"what it refuses goes to {name}{SUFFIX}"
        yield Effect("topic", name, f"{_count(event.partitions, 'partition')} of {event.message}; {letters}")
    yield _model(definition)
    yield from _runs(definition)
    for name, detector in definition.monitoring.detectors.items():
        yield Effect("detector", name, _detector(detector, definition))
    for number, step in enumerate(definition.rollout.steps, 1):
        yield Effect("stage", f"{number}. {step.stage}", _step(step, definition.monitoring.block))
    yield Effect("stage", f"{len(definition.rollout.steps) + 1}. champion", "answers all keys")


def span_text(span: timedelta) -> str:
    """A span as `loop.yaml` writes it: ``36h``, ``1d``."""
    for unit, length in _UNITS:
        if span and not span % length:
            return f"{span // length}{unit}"
    return f"{span / timedelta(milliseconds=1):g}ms" if span else "0s"


def _model(definition: LoopDefinition) -> Effect:
    prediction = definition.prediction
    inputs = [prediction.key, *prediction.inputs]
    if prediction.clock == "request":
        inputs.insert(1, "decision_time_ms")
    asks = f"answers infer({definition.loop!r}) in Triton; asks for {', '.join(inputs)}"
    return Effect("model", definition.loop, asks + _classes(definition.label.classes))


def _classes(classes: tuple[str, ...]) -> str:
    """What the score holds where it is no single number; a long list is cut."""
    if not classes:
        return ""
    more = [f"{len(classes) - _SHOWN_CLASSES} more"] if len(classes) > _SHOWN_CLASSES else []
    return f"; its score holds {len(classes)} probabilities: of {', '.join([*classes[:_SHOWN_CLASSES], *more])}"


def _runs(definition: LoopDefinition) -> Iterator[Effect]:
    training = definition.training
    if training.trainer is None:
        yield Effect("run", "none", "no alarm and no command trains a model while `training.trainer` is null")
        return
    yield Effect(
        "run", "first champion",
        f"{span_text(training.first_champion_after)} of event time after the first event, on the last "
        f"{span_text(training.window.first_champion)}",
    )  # fmt: skip
    triggers = [name for name, each in definition.monitoring.detectors.items() if each.mode == "trigger"]
    if triggers:
        what = f"when {' or '.join(triggers)} raises an alarm, on the last {span_text(training.window.drift)}"
        yield Effect("run", "drift", what)
    if training.schedule is not None:
        every, window = span_text(training.schedule.every), span_text(training.window.schedule)
        yield Effect("run", "schedule", f"every {every} of event time, on the last {window}")


def _detector(detector: DetectorDefinition, definition: LoopDefinition) -> str:
    test = (_CLASS_TESTS if definition.label.classes else _TESTS)[detector.kind]
    over = f"over the last {_count(detector.blocks, 'block')} of {span_text(definition.monitoring.block)}"
    asks = detector.mode == "trigger" and definition.training.trainer is not None
    then = "asks for a retrain" if asks else "is shown"
    on = f" of {detector.on}" if detector.on else ""
    return f"{test}{on}, {over}; above {detector.threshold:g} it {then}"


def _step(step: Step, block: timedelta) -> str:
    who = f"answers {step.share:.0%} of keys" if step.share else "answers nobody"
    least, most = (span_text(blocks * block) for blocks in (step.min_blocks, step.max_blocks))
    length = f"for {least}" if least == most else f"for {least} to {most}"
    return f"{who} {length}" + ("; then a person approves" if step.approval else "")


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" + ("" if number == 1 else "s")
