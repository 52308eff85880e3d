"""Models of ``loops/<name>/loop.yaml``: frozen, and unknown keys are errors.

Durations are written as ``90s``, ``15m``, ``24h`` or ``7d`` and parsed to ``timedelta``.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from datetime import timedelta
from typing import Annotated, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator

_SPAN = re.compile(r"^(-?\d+(?:\.\d+)?)(ms|s|m|h|d)$")
_UNIT = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}


def parse_span(value: object) -> timedelta:
    """Parse a duration such as ``"36h"``.

    Raises:
        ValueError: the value is not a number with one of the units ms, s, m, h, d.
    """
    if isinstance(value, timedelta):
        return value
    match = _SPAN.match(value) if isinstance(value, str) else None
    shown = json.dumps(value, ensure_ascii=False) if isinstance(value, str) else value
    if match is None:
        raise ValueError(f"{shown} is not a duration; use a number and a unit, such as 36h or 2d")
    try:
        return timedelta(seconds=float(match[1]) * _UNIT[match[2]])
    except OverflowError:
        raise ValueError(f"{shown} is too long; the longest duration is 999999999d") from None


def _not_negative(value: timedelta) -> timedelta:
    if value < timedelta(0):
        raise ValueError("the duration must not be negative")
    return value


def _positive(value: timedelta) -> timedelta:
    if value <= timedelta(0):
        raise ValueError("the duration must be above zero")
    return value


AnySpan = Annotated[timedelta, BeforeValidator(parse_span)]
Span = Annotated[timedelta, BeforeValidator(lambda v: _not_negative(parse_span(v)))]
PositiveSpan = Annotated[timedelta, BeforeValidator(lambda v: _positive(parse_span(v)))]
Name = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*$", max_length=48)]
ClassName = Annotated[str, Field(min_length=1, max_length=256)]
EventType = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*(\.[a-z][a-z0-9_]*)*$", max_length=96)]


def to_ms(span: timedelta) -> int:
    """Return a duration in whole milliseconds."""
    return span // timedelta(milliseconds=1)


class ReferenceProblem(ValueError):
    """A key contradicts another key or names a missing one; ``path`` is its path in the file."""

    def __init__(self, path: tuple[str, ...], message: str) -> None:
        super().__init__(message)
        self.path = path


class Model(BaseModel):
    """Base of the definition's models."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class FieldRule(Model):
    """Rules for an event's field, in addition to its type. A row that breaks one becomes a dead letter."""

    required: bool = False
    """Whether the field must be set. Without `optional`, an empty string counts as missing, zero does not."""
    min: float | None = None
    """Smallest allowed value, inclusive."""
    max: float | None = None
    """Largest allowed value, inclusive."""
    enum: tuple[str, ...] | None = None
    """Allowed strings."""
    max_length: int | None = Field(default=None, ge=1)
    """Maximum length of a string, in characters."""
    allow_non_finite: bool = False
    """Whether NaN and infinity are allowed. Features count them as missing. Also valid for a column of `derive`."""


class EventDefinition(Model):
    """A type of raw event. Its topic has the name of the event type."""

    message: str
    """Full name of the protobuf message in the loop's descriptor set."""
    id: str
    """Field with the unique id of the event. A second event with the same id is a duplicate."""
    key: str
    """Field with the key of the event's subject."""
    time: str
    """Field with the event time: int64, milliseconds since the epoch, UTC."""
    rules: dict[str, FieldRule] = Field(default_factory=dict)
    """Rules by field."""
    unknown_fields: Literal["ignore", "refuse"] = "ignore"
    """What happens to a record with a field that the message lacks. `ignore`: the field is dropped and counted.
    `refuse`: the record becomes a dead letter."""
    derive: dict[str, str] = Field(default_factory=dict)
    """Computed columns: name to SQL expression over the event's columns (DuckDB dialect)."""
    feeds: tuple[tuple[str, ...], ...] = ()
    """Feast entities that the event feeds. An entity is a list of its join keys (columns of the event)."""
    partitions: int = Field(default=2, ge=1, le=1024)
    """Number of partitions of the raw topic."""


class TimeRules(Model):
    """Rules for event time and duplicates."""

    lateness: Span = timedelta(0)
    """How far the watermark of a partition stays behind the newest event of that partition."""
    max_advance: PositiveSpan = timedelta(days=2)
    """An event further ahead of its partition's watermark does not advance it until other events agree: five, or one
    for each `max_advance` that they are ahead. It becomes a dead letter if it is further after the wall clock, or after
    a watermark that the producer sent. Make it longer than `lateness`."""
    idle_timeout: PositiveSpan = timedelta(seconds=30)
    """Wall time without events after which a partition no longer holds back the watermark of the others."""
    duplicate_window: PositiveSpan = timedelta(days=2)
    """How long an event id is remembered, in event time."""
    max_record_bytes: int = Field(default=262_144, ge=64)
    """Maximum size of a record. A larger record becomes a dead letter."""


class InputDefinition(Model):
    """A value that the caller sends with a prediction request."""

    type: Literal["string", "int64", "double"]
    """Triton datatype BYTES, INT64 or FP64."""
    column: str | None = None
    """Column of the `prediction.from` event that has the value in training. Default: the name of the input."""
    model: bool = True
    """Whether the model uses the value. `false`: it is only a join key."""


class EntityKey(Model):
    """Source of a join key's value at prediction time: an input or a constant."""

    input: str | None = None
    """Name of an input, or of `prediction.key`."""
    const: str | None = None
    """The same value for every request."""

    @model_validator(mode="after")
    def _one(self) -> EntityKey:
        if (self.input is None) == (self.const is None):
            raise ValueError("give exactly one of `input` and `const`")
        return self


class DecisionTime(Model):
    """How decision time is computed from the `prediction.from` event."""

    column: str
    """Column of the `prediction.from` event, int64 ms."""
    offset: AnySpan = timedelta(0)
    """Added to the column's time; may be negative."""


class PredictionDefinition(Model):
    """What the model predicts, when, and from which values."""

    key: str
    """Input (and column) that joins a prediction to its outcome."""
    source: EventType = Field(alias="from")
    """Event type with one row per prediction. Training rows come from it."""
    decision_time: DecisionTime
    """The point in time for which the prediction is made."""
    clock: Literal["request", "now"] = "now"
    """Source of the decision time. `request`: the caller sends it; `now`: the time of the call."""
    inputs: dict[str, InputDefinition]
    """Values that the caller sends, by name. The key is always sent; do not list it."""
    join_keys: dict[str, EntityKey]
    """All join keys of the feature service, by name."""
    feature_service: str
    """Name of the Feast feature service with the model's features."""
    max_feature_age: PositiveSpan | None = None
    """If a view's watermark is further than this behind the decision time, its features are served as missing. Default:
    the longest window of the model's features, at least one `monitoring.block`, plus `time.lateness`. A model without
    windowed features has no limit by default."""

    def type_of(self, name: str) -> Literal["string", "int64", "double"]:
        """Return the type in which a request sends an input or the prediction key."""
        return self.inputs[name].type if name in self.inputs else "string"


class LabelDefinition(Model):
    """The actual outcome of a prediction."""

    source: EventType = Field(alias="from")
    """Event type with the outcome."""
    key: str
    """Column with the prediction key."""
    value: str
    """Column with the outcome: a boolean, an integer or a double. With `multiclass`: the class name, or its index in
    `classes` (from 0)."""
    kind: Literal["binary", "regression", "count", "multiclass"]
    """Selects the loss: log loss, squared error, Poisson deviance, or log loss over classes."""
    classes: tuple[ClassName, ...] = ()
    """Names of all classes, two or more, in the order of the model's scores. Only with `multiclass`. An outcome with
    another class becomes a dead letter. Do not change the classes of an existing loop: create a new loop instead."""
    horizon: PositiveSpan
    """Maximum time from decision to outcome. A later outcome is late. Without an outcome by then, it is missing, never
    negative."""
    corrections: Span | None = None
    """How long after a key's first outcome a new value replaces it. Closed windows are restated; decisions keep
    the evidence that they used. Default: `horizon`. `0s`: corrections are not accepted."""

    @property
    def correction_span(self) -> timedelta:
        """Effective `corrections`: the horizon if unset."""
        return self.horizon if self.corrections is None else self.corrections

    @model_validator(mode="after")
    def _classes_by_kind(self) -> LabelDefinition:
        path = ("label", "classes")
        if self.kind != "multiclass" and self.classes:
            raise ReferenceProblem(path, f"only the kind multiclass has classes, not {self.kind}; remove the key")
        if self.kind == "multiclass" and not self.classes:
            raise ReferenceProblem(("label", "kind"), "multiclass needs the key `classes`, such as [low, middle, high]")
        if len(self.classes) == 1:
            raise ReferenceProblem(path, "needs two or more class names")
        repeated = [name for name, count in Counter(self.classes).items() if count > 1]
        if repeated:
            raise ReferenceProblem(path, f"lists {repeated[0]!r} twice; list each class once")
        return self


class SliceDefinition(Model):
    """An input for whose values quality is reported separately."""

    input: str
    """One of `prediction.inputs`, also one with `model: false`: an attribute that the model must not use."""
    max_values: int = Field(default=20, ge=1, le=200)
    """Only this many of the most frequent values in a window are reported."""
    min_rows: int = Field(default=30, ge=1)
    """Page and report show the quality of a value only with this many outcomes in the shown windows."""


class DetectorDefinition(Model):
    """A drift test on closed windows."""

    kind: Literal["block_residual", "block_loss", "psi"]
    """`block_residual`: tests whether the mean of (score - outcome) per block is zero; with `multiclass`, the mean of
    (probability of the most likely class - 1 if it was right, else 0). `block_loss`: compares the mean loss of recent
    blocks with the first blocks after the release became champion. `psi`: population stability index of an input or of
    the score."""
    mode: Literal["watch", "trigger"]
    """`trigger`: an alarm requests a retrain; `watch`: it is only shown."""
    threshold: float = Field(gt=0)
    """The detector raises an alarm if the statistic is above this."""
    blocks: int = Field(default=1, ge=1)
    """Number of newest closed blocks in the statistic. With fewer blocks there is no result yet."""
    on: str | None = None
    """Only for `psi`: the name of an input of the model, also a categorical one, or `score`. Default: the largest index
    of all inputs and the score."""
    min_rows: int = Field(default=1, ge=1)
    """Blocks with fewer joined rows are ignored."""


class MonitoringDefinition(Model):
    """Windows and detectors."""

    block: PositiveSpan = timedelta(days=1)
    """Length of a block, which is also a window. Blocks are aligned to the epoch in UTC and use the event time of the
    outcome. Statistics treat losses within a block as dependent and blocks as exchangeable."""
    slices: dict[Name, SliceDefinition] = Field(default_factory=dict)
    detectors: dict[Name, DetectorDefinition] = Field(default_factory=dict)


class WindowByReason(Model):
    """How much data a run trains on, by the reason of the run."""

    first_champion: PositiveSpan
    """The first model of the loop."""
    drift: PositiveSpan
    """An alarm of a `trigger` detector."""
    schedule: PositiveSpan
    """The `training.schedule`."""
    command: PositiveSpan
    """A command from a user."""


class ScheduleDefinition(Model):
    """Retraining at a fixed interval of event time."""

    every: PositiveSpan
    """Interval, counted from the first event of the loop."""


class TrainingDefinition(Model):
    """When and how models are trained."""

    trainer: str | None = "model:Trainer"
    """`module:class` in the loop's folder that implements `driftloop.model.trainer.Trainer`. `null`: this system trains
    nothing, and models come from `driftloop import`. Reasons to train are kept until there is a trainer."""
    first_champion_after: PositiveSpan
    """Event time from the loop's first event to the first training run."""
    window: WindowByReason
    validation: PositiveSpan
    """Length of the last part of the window, by decision time, that is not used for training."""
    schedule: ScheduleDefinition | None = None
    cooldown: Span = timedelta(0)
    """Minimum event time between the end of one chain and the next training request."""
    breaker: int = Field(default=5, ge=1)
    """After this many failures in a row, only a command starts training. A failure is a run without a model, or a
    release that was refused, worse, rejected by a person or not servable; an unclear gain is none."""
    seed: int = 0
    """Seed of the first run. Each later run adds one."""
    time_limit: PositiveSpan = timedelta(minutes=10)
    """Wall time after which a run is stopped and fails."""
    memory_limit_mib: int = Field(default=6144, ge=256)
    """Memory in MiB above which a run is stopped and fails."""
    parameters: dict[str, float | int | str | bool] = Field(default_factory=dict)
    """Parameters for the trainer; logged with the run."""

    @model_validator(mode="after")
    def _schedule_of_a_trainer(self) -> TrainingDefinition:
        if self.trainer is None and self.schedule is not None:
            message = "training.trainer is null, so nothing can be scheduled; remove `schedule` or set a trainer"
            raise ReferenceProblem(("training", "schedule"), message)
        return self


class OfflineGate(Model):
    """Limits that a candidate must meet on validation rows before it gets traffic."""

    min_rows: int = Field(default=200, ge=1)
    """Minimum number of validation rows."""
    min_gain_over_base_rate: float = 0.0
    """Minimum improvement: loss of the base rate minus loss of the candidate."""
    max_loss_over_champion: float = 0.05
    """Maximum loss of the candidate above the champion on the same rows, at the upper end of the interval."""


class Step(Model):
    """A stage of the rollout."""

    stage: Literal["shadow", "canary"]
    """`shadow`: scores every request but answers none; `canary`: also answers a share of the keys."""
    share: float = Field(default=0.0, ge=0.0, le=1.0)
    """Share of keys that the challenger answers; 0 in shadow."""
    min_blocks: int = Field(ge=2)
    """Minimum number of closed blocks in the stage before a verdict."""
    max_blocks: int = Field(ge=2)
    """Maximum number of closed blocks in the stage. Without a verdict by then, the release is rejected."""
    margin: float = 0.0
    """The challenger is better if the interval's lower end is above this, and worse if its upper end is below it."""
    evidence: Literal["stage", "release"] = "release"
    """Which paired blocks count: those since the `stage` began, or since the `release` first scored."""
    approval: bool = False
    """Whether a user must approve the next stage."""
    approval_within: PositiveSpan | None = None
    """Event time within which the approval must come. Default: `max_blocks` blocks. A rollback is always accepted."""
    approval_else: Literal["reject", "proceed"] = "reject"
    """What happens after that: `reject` ends the release; `proceed` continues at the next better verdict."""

    @model_validator(mode="after")
    def _ordered(self) -> Step:
        if self.max_blocks < self.min_blocks:
            raise ValueError("max_blocks must be at least min_blocks")
        if not self.approval and (self.approval_within is not None or self.approval_else != "reject"):
            raise ValueError("approval_within and approval_else need `approval: true`")
        if self.stage == "shadow" and self.share > 0:
            raise ValueError("a shadow answers no requests; remove `share`")
        if self.stage == "canary" and self.share <= 0:
            raise ValueError("a canary needs a `share` above 0")
        return self


class RolloutDefinition(Model):
    """Stages of a release, in order, and how its evidence is tested."""

    steps: tuple[Step, ...] = Field(min_length=1)
    level: float = Field(default=0.95, gt=0.5, lt=1.0)
    """Level of the two-sided bootstrap interval."""
    resamples: int = Field(default=4000, ge=200)
    """Number of bootstrap resamples of blocks."""
    seed: int = 0
    """Seed of the bootstrap."""

    def step(self, index: int) -> Step:
        """Return a step, or the last one if steps were removed while a release was on a later one."""
        return self.steps[min(index, len(self.steps) - 1)]


class LoopDefinition(Model):
    """One loop: its events, its prediction, its monitoring and its rollout."""

    loop: Name
    """Name of the loop, of its folder, and of its model in Triton."""
    description: str
    """The question that the model answers."""
    events: dict[EventType, EventDefinition]
    time: TimeRules = TimeRules()
    prediction: PredictionDefinition
    label: LabelDefinition
    monitoring: MonitoringDefinition = MonitoringDefinition()
    training: TrainingDefinition
    offline: OfflineGate = OfflineGate()
    rollout: RolloutDefinition

    @model_validator(mode="after")
    def _references(self) -> LoopDefinition:
        for section, event in (("prediction", self.prediction.source), ("label", self.label.source)):
            if event not in self.events:
                raise ReferenceProblem((section, "from"), f"{event!r} is not declared in `events`")
        known = {*self.prediction.inputs, self.prediction.key}
        for join_key, source in self.prediction.join_keys.items():
            path = ("prediction", "join_keys", join_key)
            if source.input is not None and source.input not in known:
                raise ReferenceProblem(path, f"{source.input!r} is not declared in `prediction.inputs`")
            if source.input is not None and self.prediction.type_of(source.input) == "double":
                raise ReferenceProblem(path, f"{source.input!r} is a double; a join key is a string or an int64")
        for name, rule in self.monitoring.slices.items():
            if rule.input not in self.prediction.inputs:
                path = ("monitoring", "slices", name)
                raise ReferenceProblem(path, f"{rule.input!r} is not declared in `prediction.inputs`")
        return self
