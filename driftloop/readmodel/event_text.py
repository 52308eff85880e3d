"""Renders lifecycle events as text from `driftloop.readmodel.catalogue`. Pure."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime
from string import Formatter
from typing import Any

from google.protobuf.message import Message

from driftloop.contracts import control_pb2 as control
from driftloop.contracts import evaluation_pb2 as evaluation
from driftloop.contracts import monitoring_pb2 as monitoring
from driftloop.contracts import registry_pb2 as registry
from driftloop.contracts import serving_pb2 as serving
from driftloop.contracts import training_pb2 as training
from driftloop.events.envelope import Envelope
from driftloop.readmodel import catalogue
from driftloop.readmodel.catalogue import Entry

_LONGEST_QUOTE = 400
_MINUTE_MS, _HOUR_MS, _DAY_MS = 60_000, 3_600_000, 86_400_000


def day(time_ms: int) -> str:
    """Return a UTC time in milliseconds as ``YYYY-MM-DD HH:MM``."""
    return datetime.fromtimestamp(time_ms / 1000, tz=UTC).strftime("%Y-%m-%d %H:%M")


def describe(event: Envelope[Any]) -> str | None:
    """Return the event time and the line of a notable event, or None if it is not notable."""
    return f"{day(event.time_ms)}  {describe_data(event.data)}" if is_notable(event) else None


def is_notable(event: Envelope[Any]) -> bool:
    """Return whether timelines show the event by default."""
    return entry_of(event.data).notable


def describe_data(data: Message) -> str:
    """Return the line of any message, without its time."""
    return text_of(data, "line")


def text_of(data: Message, field: str) -> str:
    """Return a text of the message's catalogue entry, such as ``title`` or ``summary``."""
    return render(getattr(entry_of(data), field), values_of(data))


def verdict_line(verdict: evaluation.VerdictReached) -> str:
    """Return a verdict's stage, result, gain with interval, blocks and margin."""
    return text_of(verdict, "summary")


def result_of(verdict: evaluation.VerdictReached) -> str:
    """Return the word for a verdict's outcome, such as ``passed``."""
    return catalogue.RESULTS[outcome_of(verdict)]


def kind_of(data: Message) -> str:
    """Return the message's name without its package, such as ``StageEntered``."""
    return str(data.DESCRIPTOR.name)


def outcome_of(data: Message) -> str:
    """Return what tells events of one kind apart: a verdict's outcome, a stage, a mode. Empty for most kinds."""
    outcome = _OUTCOMES.get(type(data))
    return outcome(data) if outcome else ""


def stage_of(data: Message) -> str:
    """Return the stage that the event is about; empty if it is not about a stage."""
    for name in ("stage", "to_stage", "from_stage"):
        if name in data.DESCRIPTOR.fields_by_name:
            return str(getattr(data, name))
    return ""


def entry_of(data: Message) -> Entry:
    """Return the catalogue entry of a message."""
    kind = kind_of(data)
    entry = catalogue.ENTRIES.get((kind, outcome_of(data))) or catalogue.ENTRIES.get((kind, ""))
    return entry or catalogue.OTHER


def values_of(data: Message) -> dict[str, Any]:
    """Return the values that templates may use: the message's fields, and those derived from them."""
    values = _Values(data, name=re.sub(r"(?<!^)(?=[A-Z])", " ", kind_of(data)).lower())
    if derive := _DERIVED.get(type(data)):
        values.update(derive(data))
    if entry_of(data).summary:
        values["summary"] = render(entry_of(data).summary, values)
    return values


def render(template: str, values: Mapping[str, Any]) -> str:
    """Return a catalogue template with its values filled in."""
    parts, end = [], 0
    for optional in _OPTIONAL.finditer(template):
        parts.append(_LENIENT.vformat(template[end : optional.start()], (), values))
        try:
            parts.append(_STRICT.vformat(optional[1], (), values))
        except _EmptyError:
            parts.append(_LENIENT.vformat(optional[2] or "", (), values))
        end = optional.end()
    return "".join([*parts, _LENIENT.vformat(template[end:], (), values)])


_OPTIONAL = re.compile(r"\[\[(.*?)(?:\|\|(.*?))?\]\]")


class _EmptyError(Exception):
    """A field of an optional part is empty."""


class _Values(dict[str, Any]):
    """Derived values before the message's fields."""

    def __init__(self, data: Message, **derived: Any) -> None:
        super().__init__(derived)
        self._data = data

    def __missing__(self, name: str) -> Any:
        return getattr(self._data, name)


class _TemplateFormatter(Formatter):
    """`str.format` with the catalogue's conversions."""

    def __init__(self, *, strict: bool) -> None:
        self._strict = strict

    def get_field(self, field_name: str, args: Sequence[Any], kwargs: Mapping[str, Any]) -> tuple[Any, Any]:
        value, key = super().get_field(field_name, args, kwargs)
        if value is None or value is False or value == "":
            if self._strict:
                raise _EmptyError(field_name)
            value = ""
        return value, key

    def convert_field(self, value: Any, conversion: str | None) -> Any:
        return _CONVERSIONS[conversion](value) if conversion else value


_LENIENT, _STRICT = _TemplateFormatter(strict=False), _TemplateFormatter(strict=True)


def quote(text: str) -> str:
    """Return text of another program on one line, cut and without a full stop."""
    line = " ".join(text.split()).rstrip(".")
    return line if len(line) <= _LONGEST_QUOTE else f"{line[: _LONGEST_QUOTE - 1]}…"


def _period(length_ms: int) -> str:
    if length_ms >= 2 * _DAY_MS:
        return f"{length_ms / _DAY_MS:.1f} days"
    if length_ms >= 2 * _HOUR_MS:
        return f"{length_ms / _HOUR_MS:.1f} hours"
    return f"{length_ms / _MINUTE_MS:.0f} minutes"


_CONVERSIONS: dict[str, Callable[[Any], str]] = {
    "d": lambda time_ms: day(time_ms)[:10],
    "t": day,
    "p": _period,
    "q": quote,
    "x": lambda _: "",
}


def _verdict_outcome(data: evaluation.VerdictReached) -> str:
    if data.outcome in _VERDICTS:
        return _VERDICTS[data.outcome]
    return "limit-reached" if data.limit_reached else "not-known-yet"


_VERDICTS = {evaluation.BETTER: "passed", evaluation.WORSE: "failed"}
"""A stage requires its margin, and a negative margin allows a small loss: a pass is not always a gain."""

_OUTCOMES: dict[type[Message], Callable[[Any], str]] = {
    monitoring.DriftDetected: lambda data: data.mode,
    training.ReasonCoalesced: lambda data: data.because,
    training.RetrainRequested: lambda data: "import" if data.HasField("model") else "",
    training.CandidateTrained: lambda data: "import" if any(each.kind == "import" for each in data.reasons) else "",
    evaluation.VerdictReached: _verdict_outcome,
    registry.StageEntered: lambda data: data.stage,
}


def _restated(data: monitoring.WindowRestated) -> dict[str, Any]:
    before, after = _champion_loss(data.before), _champion_loss(data.after)
    return {"several": data.corrections != 1, "loss_before": before, "loss_after": after}


def _champion_loss(sums: Iterable[monitoring.ReleaseWindow]) -> float | None:
    """Return the mean loss of the champion's joined predictions; None if there are none."""
    return next((each.loss_sum / each.count for each in sums if each.role == "champion" and each.count), None)


def _kept(data: training.ReasonCoalesced) -> dict[str, Any]:
    return {"kept_until": catalogue.KEPT_UNTIL.get(data.because, data.because)}


def _reasons(data: training.RetrainRequested) -> dict[str, Any]:
    kinds = [reason.kind for reason in data.reasons]
    return {"reason_kinds": ", ".join(kinds), "distinct_kinds": ", ".join(dict.fromkeys(kinds))}


def _trained(data: training.CandidateTrained) -> dict[str, Any]:
    losses = {name: data.metrics.get(name) for name in ("loss", "base_loss")}
    return {"rows": int(data.metrics.get("rows", 0)), **losses}


def _failed(data: training.RunFailed) -> dict[str, Any]:
    return {"last_line": data.detail.splitlines()[-1] if data.detail else ""}


def _verdict(data: evaluation.VerdictReached) -> dict[str, Any]:
    interval = data.interval if data.interval.blocks else None
    return {name: getattr(interval, name, None) for name in ("estimate", "lower", "upper")}


def _entered(data: registry.StageEntered) -> dict[str, Any]:
    return {"share": data.share or None, "percent": f"{100 * data.share:.3g}" if data.share else None}


def _first_reason(data: registry.ReleaseRejected | registry.ReleaseRolledBack) -> dict[str, Any]:
    return {"first_reason": data.reason.split("; ")[0]}


def _converged(data: Any) -> dict[str, Any]:
    return {"duration_ms": data.duration_s * 1000}


def _command(data: Any) -> dict[str, Any]:
    source = data.model.source if isinstance(data, control.Import) else ""
    return {"about": getattr(data, "release_id", "") or source}


COMMANDS = (
    control.Approve,
    control.Import,
    control.Pause,
    control.Reject,
    control.Resume,
    control.Retrain,
    control.Rollback,
)

_DERIVED: dict[type[Message], Callable[[Any], dict[str, Any]]] = {
    monitoring.WindowRestated: _restated,
    training.ReasonCoalesced: _kept,
    training.RetrainRequested: _reasons,
    training.CandidateTrained: _trained,
    training.RunFailed: _failed,
    evaluation.VerdictReached: _verdict,
    registry.StageEntered: _entered,
    registry.ReleaseRejected: _first_reason,
    registry.ReleaseRolledBack: _first_reason,
    serving.RouteConverged: _converged,
    **dict.fromkeys(COMMANDS, _command),
}
