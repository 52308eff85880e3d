"""What a loop declares in ``loops/<name>/loop.yaml``, as frozen models that refuse unknown keys.

Spans of time are written as ``90s``, ``15m``, ``24h`` or ``7d`` and held as ``timedelta``.
"""

from __future__ import annotations

import re
from collections import Counter
from datetime import timedelta
from typing import Annotated, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator

_SPAN = re.compile(r"^(-?\d+(?:\.\d+)?)(ms|s|m|h|d)$")
_UNIT = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}


def parse_span(value: object) -> timedelta:
    """Turn ``"36h"`` into a timedelta.

    Raises:
        ValueError: not a number with one of the units ms, s, m, h, d.
    """
    if isinstance(value, timedelta):
        return value
    match = _SPAN.match(value) if isinstance(value, str) else None
    if match is None:
        raise ValueError(f"{value!r} is not a span of time; write a number and a unit, such as 90s, 15m, 24h or 7d")
    try:
        return timedelta(seconds=float(match[1]) * _UNIT[match[2]])
    except OverflowError:
        raise ValueError(f"{value!r} is too long a span of time") from None


def _not_negative(value: timedelta) -> timedelta:
    if value < timedelta(0):
        raise ValueError("a span of time here must not be negative")
    return value


def _positive(value: timedelta) -> timedelta:
    if value <= timedelta(0):
        raise ValueError("a span of time here must be above zero")
    return value


AnySpan = Annotated[timedelta, BeforeValidator(parse_span)]
Span = Annotated[timedelta, BeforeValidator(lambda v: _not_negative(parse_span(v)))]
PositiveSpan = Annotated[timedelta, BeforeValidator(lambda v: _positive(parse_span(v)))]
Name = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*$", max_length=48)]
ClassName = Annotated[str, Field(min_length=1, max_length=256)]
EventType = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*(\.[a-z][a-z0-9_]*)*$", max_length=96)]


def to_ms(span: timedelta) -> int:
    """A span in whole milliseconds."""
    return span // timedelta(milliseconds=1)


class ReferenceProblem(ValueError):
    """One part of a definition names another that is not there; ``place`` is its way down the file."""

    def __init__(self, place: tuple[str, ...], what: str) -> None:
        super().__init__(what)
        self.place = place


class Model(BaseModel):
    """Base of the definition's models."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class FieldRule(Model):
    """What an event's field must hold beyond its type. A row that breaks it is a dead letter."""

    required: bool = False
    """A proto3 scalar at its default value (empty, zero) without `optional` counts as absent only for strings."""
    min: float | None = None
    """Least value, inclusive."""
    max: float | None = None
    """Greatest value, inclusive."""
    enum: tuple[str, ...] | None = None
    """The only strings allowed."""
    max_length: int | None = Field(default=None, ge=1)
    """Longest string, in characters."""


class EventDefinition(Model):
    """A kind of raw event, on a topic of its own that bears the event type's name."""

    message: str
    """Full name of the protobuf message, to be found in the loop's descriptor set."""
    id: str
    """Field that makes an event unique; a second one with it is a duplicate."""
    key: str
    """Field that names what the event is about."""
    time: str
    """Field that holds event time, int64 milliseconds since the epoch, UTC."""
    rules: dict[str, FieldRule] = Field(default_factory=dict)
    """Rules by field."""
    derive: dict[str, str] = Field(default_factory=dict)
    """Columns computed from the fields: name to SQL expression over the event's columns (DuckDB's dialect)."""
    feeds: tuple[tuple[str, ...], ...] = ()
    """Feast entities that the event feeds, each as its join keys (columns of the event)."""
    partitions: int = Field(default=2, ge=1, le=1024)
    """Partitions of the raw topic."""


class TimeRules(Model):
    """How event time advances."""

    lateness: Span = timedelta(0)
    """Allowance of a derived watermark behind the newest event of its partition."""
    max_advance: PositiveSpan = timedelta(days=2)
    """An event further ahead of its partition's watermark than this is a dead letter and moves nothing."""
    idle_timeout: PositiveSpan = timedelta(seconds=30)
    """Wall time after which a silent partition with a derived watermark no longer holds the others back."""
    duplicate_window: PositiveSpan = timedelta(days=2)
    """Span of event time in which an event id is remembered."""
    max_record_bytes: int = Field(default=262_144, ge=64)
    """A larger record is a dead letter."""


class InputDefinition(Model):
    """A value that a caller sends with a request."""

    type: Literal["string", "int64", "double"]
    """Triton datatype BYTES, INT64 or FP64."""
    column: str | None = None
    """Column of the `prediction.from` event that holds it in training; the input's own name if unset."""
    model: bool = True
    """Whether it is an input of the model, not only a join key."""


class EntityKey(Model):
    """Where a join key's value comes from at prediction time: an input, or a constant."""

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
    """Decision time in terms of the population's event."""

    column: str
    """Column of the `prediction.from` event, int64 ms."""
    offset: AnySpan = timedelta(0)
    """Added to it."""


class PredictionDefinition(Model):
    """What is predicted, when, and from what."""

    key: str
    """Input (and column) that ties a prediction to its outcome."""
    source: EventType = Field(alias="from")
    """Event type with a row for each thing to be predicted: the population that training is drawn from."""
    decision_time: DecisionTime
    """The moment the prediction stands for."""
    clock: Literal["request", "now"] = "now"
    """`request`: the caller states the decision time; `now`: it is the time of the call."""
    inputs: dict[str, InputDefinition]
    """Values that the caller sends, by name. The key is always sent and need not stand here."""
    join_keys: dict[str, EntityKey]
    """Every join key of the feature service, by name."""
    feature_service: str
    """Feast feature service that lists the features."""
    max_feature_age: PositiveSpan = timedelta(days=3650)
    """A view whose watermark is further behind the decision time is served as missing, and counted."""


class LabelDefinition(Model):
    """What turned out."""

    source: EventType = Field(alias="from")
    """Event type that carries the outcome."""
    key: str
    """Its column that holds the prediction key."""
    value: str
    """Its column that holds the outcome: a boolean, an integer or a double; with `multiclass` a string that names the
    class, or an integer that is its place in `classes`, from 0."""
    kind: Literal["binary", "regression", "count", "multiclass"]
    """Decides the loss: log loss, squared error, Poisson deviance, log loss over classes."""
    classes: tuple[ClassName, ...] = ()
    """With `multiclass`, and only then: the names of all classes, two or more, in the order of the model's scores. An
    outcome of no such class is a dead letter. They stay as they are while the loop lives: other classes are another
    loop."""
    horizon: PositiveSpan
    """An outcome later than this after the decision time is late; none by then is missing, never negative."""
    corrections: Span | None = None
    """Another value for a key replaces the one before where it becomes known less than this after the key's first
    outcome: closed windows are restated, decisions keep the evidence that they had. As long as `horizon` unless set;
    `0s` takes none."""

    @property
    def correction_span(self) -> timedelta:
        """How long after a key's first outcome another value replaces it."""
        return self.horizon if self.corrections is None else self.corrections

    @model_validator(mode="after")
    def _classes_by_kind(self) -> LabelDefinition:
        place = ("label", "classes")
        if self.kind != "multiclass" and self.classes:
            raise ReferenceProblem(place, f"only the kind multiclass has classes, not {self.kind}; leave them out")
        if self.kind == "multiclass" and not self.classes:
            raise ReferenceProblem(
                ("label", "kind"), "multiclass needs `classes` beside it, such as [low, middle, high]"
            )
        if len(self.classes) == 1:
            raise ReferenceProblem(place, "there must be two or more")
        twice = [name for name, count in Counter(self.classes).items() if count > 1]
        if twice:
            raise ReferenceProblem(place, f"{twice[0]!r} stands there twice; name each class once")
        return self


class SliceDefinition(Model):
    """A field by whose values quality is also reported."""

    input: str
    """One of `prediction.inputs`."""
    max_values: int = Field(default=20, ge=1, le=200)
    """So many of the window's most frequent values are kept; the others are left out."""


class DetectorDefinition(Model):
    """A test on closed windows."""

    kind: Literal["block_residual", "block_loss", "psi"]
    """`block_residual`: mean of (score - outcome) by block against zero, of several classes mean of (probability of the
    likeliest one - whether it came true); `block_loss`: recent blocks' mean loss
    against the reference blocks after the release became champion; `psi`: population stability index of an input or
    the score."""
    mode: Literal["watch", "trigger"]
    """Whether an alarm asks for a retrain or is only shown."""
    threshold: float = Field(gt=0)
    """Alarm above this value of the statistic."""
    blocks: int = Field(default=1, ge=1)
    """Trailing closed blocks in the statistic; fewer is not known yet."""
    on: str | None = None
    """psi only: an input's name, `score`, or unset for the largest over all."""
    min_rows: int = Field(default=1, ge=1)
    """Blocks with fewer joined rows are left out."""


class MonitoringDefinition(Model):
    """Windows and detectors."""

    block: PositiveSpan = timedelta(days=1)
    """Length of a block and of a window, aligned to the epoch in UTC, by outcome event time. Losses within a block are
    taken as dependent, blocks as exchangeable."""
    slices: dict[Name, SliceDefinition] = Field(default_factory=dict)
    detectors: dict[Name, DetectorDefinition] = Field(default_factory=dict)


class WindowByReason(Model):
    """How much data a run trains on, by what asked for it."""

    first_champion: PositiveSpan
    """For the loop's first model."""
    drift: PositiveSpan
    """For an alarm of a `trigger` detector."""
    schedule: PositiveSpan
    """For the calendar."""
    command: PositiveSpan
    """For a person."""


class ScheduleDefinition(Model):
    """Retraining by the calendar of event time."""

    every: PositiveSpan
    """Counted from the first event of the loop."""


class TrainingDefinition(Model):
    """When and how a model is trained."""

    trainer: str | None = "model:Trainer"
    """`module:class` in the loop's folder, a `driftloop.model.trainer.Trainer`. `null` if nothing is trained: models
    come by `driftloop import`, and a reason to train is told and kept until there is a trainer."""
    first_champion_after: PositiveSpan
    """Event time from the loop's first event to the first training run."""
    window: WindowByReason
    validation: PositiveSpan
    """The last part of the window in decision time, held out of training."""
    schedule: ScheduleDefinition | None = None
    cooldown: Span = timedelta(0)
    """Least event time between the end of one chain and the next request."""
    breaker: int = Field(default=5, ge=1)
    """After so many requests in a row that did not end in a promotion, only a command retrains."""
    seed: int = 0
    """A run's seed is this plus the number of requests before it."""
    time_limit: PositiveSpan = timedelta(minutes=10)
    """Wall time after which a run is ended, as failed."""
    memory_limit_mib: int = Field(default=6144, ge=256)
    """Memory, in MiB, above which a run is ended, as failed."""
    parameters: dict[str, float | int | str | bool] = Field(default_factory=dict)
    """Handed to the trainer, logged with the run."""

    @model_validator(mode="after")
    def _schedule_of_a_trainer(self) -> TrainingDefinition:
        if self.trainer is None and self.schedule is not None:
            what = "there is no trainer that it could run; leave `schedule` out, or name a trainer"
            raise ReferenceProblem(("training", "schedule"), what)
        return self


class OfflineGate(Model):
    """Weeds out broken candidates before they see traffic."""

    min_rows: int = Field(default=200, ge=1)
    """Least rows of validation."""
    min_gain_over_base_rate: float = 0.0
    """The candidate's validation loss must be below the base rate's by at least this."""
    max_loss_over_champion: float = 0.05
    """It must not lose to the champion by more than this on the same rows, with certainty (interval's upper end)."""


class Step(Model):
    """A stage of the rollout."""

    stage: Literal["shadow", "canary"]
    """`shadow`: scores every request, answers none; `canary`: also answers a share of keys."""
    share: float = Field(default=0.0, ge=0.0, le=1.0)
    """Of keys answered by the challenger; 0 in shadow."""
    min_blocks: int = Field(ge=2)
    """Fewer closed blocks since the stage began is not known yet."""
    max_blocks: int = Field(ge=2)
    """At so many the stage's limit is reached and not-known-yet ends in rejection."""
    margin: float = 0.0
    """Better: the interval's lower end is above this. Worse: its upper end is below it."""
    evidence: Literal["stage", "release"] = "release"
    """Paired blocks since this stage, or since the release first scored."""
    approval: bool = False
    """Whether a person must approve the next stage."""
    approval_within: PositiveSpan | None = None
    """Event time that a person has for it; `max_blocks` blocks if unset. A rollback is taken at any time."""
    approval_else: Literal["reject", "proceed"] = "reject"
    """What happens after that: `reject` ends the release, `proceed` lets the next better verdict move it on."""

    @model_validator(mode="after")
    def _ordered(self) -> Step:
        if self.max_blocks < self.min_blocks:
            raise ValueError("max_blocks must be at least min_blocks")
        if not self.approval and (self.approval_within is not None or self.approval_else != "reject"):
            raise ValueError("approval_within and approval_else need `approval: true`")
        if self.stage == "shadow" and self.share > 0:
            raise ValueError("a shadow answers nobody: leave `share` out")
        if self.stage == "canary" and self.share <= 0:
            raise ValueError("a canary needs a `share` above 0")
        return self


class RolloutDefinition(Model):
    """Stages that a release passes, in order, and how its evidence is judged."""

    steps: tuple[Step, ...] = Field(min_length=1)
    level: float = Field(default=0.95, gt=0.5, lt=1.0)
    """Level of the two-sided bootstrap interval."""
    resamples: int = Field(default=4000, ge=200)
    """Bootstrap resamples of blocks."""
    seed: int = 0
    """Of the resampling."""


class LoopDefinition(Model):
    """One loop: what comes in, what is predicted, how it is watched and kept right."""

    loop: Name
    """The loop's name, which is its folder's and its model's in Triton."""
    description: str
    """The question that the model answers, for people."""
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
        place: tuple[str, ...]
        for place in (("prediction", "from"), ("label", "from")):
            event = (self.prediction if place[0] == "prediction" else self.label).source
            if event not in self.events:
                raise ReferenceProblem(place, f"names {event!r}, which `events` does not declare")
        known = {*self.prediction.inputs, self.prediction.key}
        for join_key, source in self.prediction.join_keys.items():
            if source.input is not None and source.input not in known:
                place = ("prediction", "join_keys", join_key)
                raise ReferenceProblem(place, f"names the input {source.input!r}, which is not declared")
        for name, piece in self.monitoring.slices.items():
            if piece.input not in self.prediction.inputs:
                place = ("monitoring", "slices", name)
                raise ReferenceProblem(place, f"names the input {piece.input!r}, which is not declared")
        return self
