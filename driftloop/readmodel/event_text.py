"""Tells lifecycle events as lines for people. Pure: an event in, a line out, nothing that the event does not say."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from typing import Any

from google.protobuf.message import Message

from driftloop.contracts import control_pb2 as control
from driftloop.contracts import evaluation_pb2 as evaluation
from driftloop.contracts import monitoring_pb2 as monitoring
from driftloop.contracts import registry_pb2 as registry
from driftloop.contracts import serving_pb2 as serving
from driftloop.contracts import training_pb2 as training
from driftloop.events.envelope import Envelope
from driftloop.readmodel.history import COMMANDS
from driftloop.readmodel.loops import verdict_line


def day(time_ms: int) -> str:
    """Event time as people read it, UTC."""
    return datetime.fromtimestamp(time_ms / 1000, tz=UTC).strftime("%Y-%m-%d %H:%M")


def tell(event: Envelope[Any]) -> str | None:
    """One line, or None where the event is no news."""
    teller = _TELLERS.get(type(event.data))
    line = None if teller is None else teller(event.data)
    return None if line is None else f"{day(event.time_ms)}  {line}"


def is_notable(event: Envelope[Any]) -> bool:
    """Whether the event is news."""
    return tell(event) is not None


def describe_data(data: Message) -> str:
    """One line for any message: what `tell` says of it, without its time, or else its name."""
    teller = _TELLERS.get(type(data))
    return (teller(data) if teller else None) or _LINES.get(type(data), _named)(data)


def _named(data: Message) -> str:
    return re.sub(r"(?<!^)(?=[A-Z])", " ", data.DESCRIPTOR.name).lower()


def _window(data: monitoring.WindowClosed) -> str:
    return f"window of {day(data.start_ms)} closed: {data.joins.joined:,} outcomes joined"


def _decided(data: monitoring.WindowDecided) -> str:
    return f"{data.decider} looked at the window that ended {day(data.end_ms)}"


def _judged(data: evaluation.VerdictReached) -> str:
    return f"verdict on {data.release_id}: {verdict_line(data)}"


def _entered(data: registry.StageEntered) -> str:
    return f"{data.release_id} enters {data.stage}"


def _routed(data: registry.RouteChanged) -> str:
    challenger = f", challenger {data.challenger.release_id}" if data.challenger.release_id else ""
    return f"route {data.epoch}: champion {data.champion.release_id}{challenger}"


def _alarm(data: monitoring.DriftDetected) -> str:
    return f"{data.detector}: {data.statistic:.2f} > {data.threshold:g}, {data.mode}"


_LINES: dict[type[Message], Callable[[Any], str]] = {
    monitoring.WindowClosed: _window,
    monitoring.WindowDecided: _decided,
    monitoring.DriftDetected: _alarm,
    evaluation.VerdictReached: _judged,
    registry.StageEntered: _entered,
    registry.RouteChanged: _routed,
}
"""Lines of what is no news."""


def _drift(data: monitoring.DriftDetected) -> str | None:
    if data.mode != "trigger":
        return None
    numbers = f"{data.statistic:.2f} > {data.threshold:g} over {data.blocks} blocks"
    return f"ALARM {data.detector}: {numbers}. {data.explanation}".rstrip()


def _restated(data: monitoring.WindowRestated) -> str:
    corrected = "1 outcome" if data.corrections == 1 else f"{data.corrections:,} outcomes"
    losses = [_champions_loss(each) for each in (data.before, data.after)]
    numbers = "" if None in losses else f"; the champion's loss is {losses[1]:.4f}, not {losses[0]:.4f}"
    return f"RESTATED the window of {day(data.start_ms)}: {corrected} corrected{numbers}"


def _champions_loss(sums: Iterable[monitoring.ReleaseWindow]) -> float | None:
    """Mean over the joined predictions of the release that was champion; None where there are none."""
    return next((each.loss_sum / each.count for each in sums if each.role == "champion" and each.count), None)


def _coalesced(data: training.ReasonCoalesced) -> str:
    if data.because == "no-trainer":
        bring = f"driftloop import {data.loop} --onnx FILE --why ..."
        return f"nothing is trained for {data.reason.kind}: {data.loop} has no trainer; bring a model with `{bring}`"
    return f"reason kept: {data.reason.kind} ({data.because})"


def _requested(data: training.RetrainRequested) -> str:
    span = f"data {day(data.window_start_ms)} to {day(data.window_end_ms)}"
    if data.HasField("model"):
        return f"import of {data.model.source}: to be judged on {span}"
    reasons = ", ".join(reason.kind for reason in data.reasons)
    return f"training asked for: {reasons}; {span}"


def _trained(data: training.CandidateTrained) -> str:
    loss, base = data.metrics.get("loss"), data.metrics.get("base_loss")
    numbers = f"; validation loss {loss:.4f}, base rate {base:.4f}" if loss is not None and base is not None else ""
    if any(reason.kind == "import" for reason in data.reasons):
        rows = int(data.metrics.get("rows", 0))
        return (
            f"run {data.run_id} packed the imported model in {data.duration_s:.1f} s, tried on {rows:,} rows{numbers}"
        )
    return f"run {data.run_id} done in {data.duration_s:.1f} s on {data.training_rows:,} rows{numbers}"


def _failed(data: training.RunFailed) -> str:
    return f"run {data.run_id} FAILED: {data.reason}. {data.detail.splitlines()[-1] if data.detail else ''}".rstrip()


def _verdict(data: evaluation.VerdictReached) -> str | None:
    if data.outcome == evaluation.NOT_KNOWN_YET and not data.limit_reached:
        return None
    limit = ", limit reached" if data.limit_reached else ""
    return f"verdict on {data.release_id}: {verdict_line(data)}{limit}"


def _stage(data: registry.StageEntered) -> str | None:
    if data.stage in ("champion", "rejected", "retired", "rolled-back"):
        return None
    share = f", answers {data.share:.0%} of keys" if data.share else ""
    return f"{data.release_id} enters {data.stage}{share}"


def _promoted(data: registry.ChampionPromoted) -> str:
    before = f" in place of {data.previous_release_id}" if data.previous_release_id else ", the first champion"
    return f"PROMOTED {data.release_id}{before} (epoch {data.epoch})"


def _rejected(data: registry.ReleaseRejected) -> str:
    return f"REJECTED {data.release_id} in {data.stage}: {_first(data.reason)}"


def _rolled_back(data: registry.ReleaseRolledBack) -> str:
    return f"ROLLED BACK {data.release_id} from {data.from_stage}: {_first(data.reason)}"


def _first(reason: str) -> str:
    """The reason that decided; what else was noted stands in the event and the report."""
    return reason.split("; ")[0]


def _converged(data: serving.RouteConverged) -> str:
    challenger = f", challenger {data.challenger_release_id}" if data.challenger_release_id else ""
    return (
        f"route {data.epoch} answers: champion {data.champion_release_id}{challenger} ({data.duration_s * 1000:.0f} ms)"
    )


def _route_failed(data: serving.RouteFailed) -> str:
    return f"route {data.epoch} FAILED: {data.reason}"


def _asked(data: registry.ApprovalRequested) -> str:
    return f"{data.release_id} WAITS for an approval to enter {data.to_stage}, until {day(data.deadline_ms)}"


def _command(data: Any) -> str:
    name, about = data.DESCRIPTOR.name.lower(), getattr(data, "release_id", "")
    about = about or (data.model.source if isinstance(data, control.Import) else "")
    return f"{data.who or 'somebody'} says {name}{f' {about}' if about else ''}: {data.why or 'no reason given'}"


def _ignored(data: registry.CommandIgnored) -> str:
    return f"{data.command} changed nothing: {data.reason}"


_TELLERS: dict[type[Message], Callable[[Any], str | None]] = {
    registry.CommandIgnored: _ignored,
    monitoring.DriftDetected: _drift,
    monitoring.WindowRestated: _restated,
    training.ReasonCoalesced: _coalesced,
    training.RetrainRequested: _requested,
    training.CandidateTrained: _trained,
    training.RunFailed: _failed,
    evaluation.VerdictReached: _verdict,
    registry.StageEntered: _stage,
    registry.ApprovalRequested: _asked,
    registry.ChampionPromoted: _promoted,
    registry.ReleaseRejected: _rejected,
    registry.ReleaseRolledBack: _rolled_back,
    serving.RouteConverged: _converged,
    serving.RouteFailed: _route_failed,
    **dict.fromkeys(COMMANDS, _command),
}
