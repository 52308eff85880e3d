"""Derives effects from a loop's definition alone."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

from driftloop.bus.dead_letters import SUFFIX
from driftloop.loop.definition import DetectorDefinition, LoopDefinition, Step
from driftloop.loop.findings import Effect

_UNITS = (("d", timedelta(days=1)), ("h", timedelta(hours=1)), ("m", timedelta(minutes=1)), ("s", timedelta(seconds=1)))
_TESTS = {
    "block_residual": "mean of score - outcome per block, against zero",
    "block_loss": "mean loss per block, against the release's first blocks",
    "psi": "population stability index",
}
_CLASS_TESTS = {
    **_TESTS,
    "block_residual": "mean probability of the most likely class - accuracy per block, against zero",
}
_SHOWN_CLASSES = 6


def effects_of(definition: LoopDefinition) -> Iterator[Effect]:
    """Yield topics, the served model, runs, detectors and stages, in that order."""
    for name, event in definition.events.items():
        dead_letters = f"dead letters go to {name}{SUFFIX}"
        yield Effect("topic", name, f"{_count(event.partitions, 'partition')} of {event.message}; {dead_letters}")
    yield _model(definition)
    yield from _runs(definition)
    for name, detector in definition.monitoring.detectors.items():
        yield Effect("detector", name, _detector(detector, definition))
    for number, step in enumerate(definition.rollout.steps, 1):
        yield Effect("stage", f"{number}. {step.stage}", _step(step, definition.monitoring.block))
    yield Effect("stage", f"{len(definition.rollout.steps) + 1}. champion", "answers all keys")


def span_text(span: timedelta) -> str:
    """Format a duration as in `loop.yaml`: ``36h``, ``1d``."""
    for unit, length in _UNITS:
        if span and not span % length:
            return f"{span // length}{unit}"
    return f"{span / timedelta(milliseconds=1):g}ms" if span else "0s"


def _model(definition: LoopDefinition) -> Effect:
    prediction = definition.prediction
    inputs = [prediction.key, *prediction.inputs]
    if prediction.clock == "request":
        inputs.insert(1, "decision_time_ms")
    signature = f"answers infer({definition.loop!r}) in Triton; inputs: {', '.join(inputs)}"
    return Effect("model", definition.loop, signature + _classes(definition.label.classes))


def _classes(classes: tuple[str, ...]) -> str:
    if not classes:
        return ""
    more = [f"{len(classes) - _SHOWN_CLASSES} more"] if len(classes) > _SHOWN_CLASSES else []
    return f"; its score has {len(classes)} probabilities: {', '.join([*classes[:_SHOWN_CLASSES], *more])}"


def _runs(definition: LoopDefinition) -> Iterator[Effect]:
    training = definition.training
    if training.trainer is None:
        yield Effect("run", "none", "`training.trainer` is null: alarms and commands do not train a model")
        return
    yield Effect(
        "run", "first champion",
        f"{span_text(training.first_champion_after)} of event time after the first event, on the last "
        f"{span_text(training.window.first_champion)}",
    )  # fmt: skip
    triggers = [name for name, detector in definition.monitoring.detectors.items() if detector.mode == "trigger"]
    if triggers:
        window = span_text(training.window.drift)
        yield Effect("run", "drift", f"when {' or '.join(triggers)} raises an alarm, on the last {window}")
    if training.schedule is not None:
        every, window = span_text(training.schedule.every), span_text(training.window.schedule)
        yield Effect("run", "schedule", f"every {every} of event time, on the last {window}")


def _detector(detector: DetectorDefinition, definition: LoopDefinition) -> str:
    test = (_CLASS_TESTS if definition.label.classes else _TESTS)[detector.kind]
    over = f"over the last {_count(detector.blocks, 'block')} of {span_text(definition.monitoring.block)}"
    retrains = detector.mode == "trigger" and definition.training.trainer is not None
    then = "the alarm requests a retrain" if retrains else "the alarm is only shown"
    on = f" of {detector.on}" if detector.on else ""
    return f"{test}{on}, {over}; above {detector.threshold:g} {then}"


def _step(step: Step, block: timedelta) -> str:
    traffic = f"answers {step.share:.0%} of keys" if step.share else "answers no requests"
    least, most = (span_text(blocks * block) for blocks in (step.min_blocks, step.max_blocks))
    length = f"for {least}" if least == most else f"for {least} to {most}"
    return f"{traffic} {length}" + ("; then a user must approve" if step.approval else "")


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" + ("" if number == 1 else "s")
