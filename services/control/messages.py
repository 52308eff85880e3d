"""Converts the read model to the API's messages."""

from __future__ import annotations

import json
from typing import Any, TypeVar

from google.protobuf import json_format
from google.protobuf.message import Message
from google.protobuf.timestamp_pb2 import Timestamp

from driftloop.contracts import control_api_pb2 as api
from driftloop.contracts import evaluation_pb2 as evaluation
from driftloop.contracts import monitoring_pb2 as monitoring
from driftloop.events.envelope import Envelope
from driftloop.readmodel.advice import next_step, notes
from driftloop.readmodel.event_text import (
    describe_data,
    entry_of,
    is_notable,
    kind_of,
    outcome_of,
    result_of,
    stage_of,
    text_of,
)
from driftloop.readmodel.history import ServingPeriod
from driftloop.readmodel.lineage import Node
from driftloop.readmodel.loops import LoopState, Waiting
from driftloop.readmodel.releases import ReleaseState
from services.control.ports import Stored

_LINE = 400
M = TypeVar("M", bound=Message)


def moment(time_ms: int | None) -> Timestamp | None:
    """Convert milliseconds since the epoch; None stays None."""
    if time_ms is None:
        return None
    timestamp = Timestamp()
    timestamp.FromMilliseconds(time_ms)
    return timestamp


def _copy(message: type[M], source: Any, **values: Any) -> M:
    """Return a message with the source's attributes of the same names; times have the suffix ``_ms`` there."""
    for field in message.DESCRIPTOR.fields:
        if field.name not in values:
            is_time = field.message_type is not None and field.message_type.full_name == Timestamp.DESCRIPTOR.full_name
            values[field.name] = moment(getattr(source, f"{field.name}_ms")) if is_time else getattr(source, field.name)
    return message(**values)


def loop(state: LoopState, description: str) -> api.Loop:
    """Convert the state of a loop."""
    return _copy(
        api.Loop,
        state,
        name=state.loop,
        description=description,
        challenger=state.release,
        approval=None if state.waiting is None else approval(state.loop, state.waiting),
        last_verdict=state.verdict,
        last_alarm=state.alarm,
        last_alarm_time=moment(state.alarm_ms),
        event_time=moment(state.time_ms or None),
        next=next_step(state),
        notes=notes(state),
        kept=[_copy(api.KeptReason, reason) for reason in state.kept],
        paused_topics=list(state.paused_topics),
    )


def approval(loop_name: str, waiting: Waiting) -> api.Approval:
    """Convert a release that waits for approval."""
    return _copy(api.Approval, waiting, loop=loop_name, release_id=waiting.release)


def release(state: ReleaseState) -> api.Release:
    """Convert a release."""
    stages = [_copy(api.Stage, stage) for stage in state.stages]
    return _copy(api.Release, state, stages=stages, verdicts=[_verdict(verdict) for verdict in state.verdicts])


def _verdict(event: Envelope[evaluation.VerdictReached]) -> api.Verdict:
    data = event.data
    interval = data.interval if data.interval.blocks else None
    return api.Verdict(
        stage=data.stage,
        outcome=result_of(data),
        estimate=interval.estimate if interval else None,
        lower=interval.lower if interval else None,
        upper=interval.upper if interval else None,
        level=data.interval.level,
        blocks=data.interval.blocks,
        margin=data.margin,
        limit_reached=data.limit_reached,
        reasons=data.reasons,
        time=moment(event.time_ms),
        event_id=event.id,
        glyph=entry_of(data).glyph,
    )


def window(event: Envelope[monitoring.WindowClosed]) -> api.Window:
    """Convert a closed window."""
    data = event.data
    return api.Window(
        window_id=data.window_id,
        event_id=event.id,
        start=moment(data.start_ms),
        end=moment(data.end_ms),
        releases=[_window_release(row) for row in data.releases],
        predictions=data.predictions,
        joined=data.joins.joined,
        late=data.joins.late,
        missing=data.joins.missing,
        champion=data.champion_release_id,
        psi={
            histogram.name: histogram.psi
            for histogram in data.histograms
            if histogram.release_id == data.champion_release_id
        },
    )


def _window_release(row: monitoring.ReleaseWindow) -> api.WindowRelease:
    count = row.count or 1  # sums over no row are zero
    return api.WindowRelease(
        release_id=row.release_id,
        role=row.role,
        count=row.count,
        loss=row.loss_sum / count,
        score=row.score_sum / count,
        outcome=row.outcome_sum / count,
        answered=row.answered,
    )


def is_news(stored: Stored) -> bool:
    """Return whether timelines show the event by default."""
    return is_notable(stored.event)


def event(stored: Stored, *, payload: bool) -> api.Event:
    """Return an event with its catalogue entry, and with its message's content if ``payload`` is set."""
    envelope = stored.event
    entry = entry_of(envelope.data)
    return api.Event(
        id=envelope.id,
        type=envelope.type,
        loop=envelope.loop,
        time=moment(envelope.time_ms),
        wall_time=moment(envelope.wall_time_ms),
        correlation_id=envelope.correlation_id,
        causation_id=envelope.causation_id or "",
        source=envelope.source.rpartition("/")[2],
        line=describe_data(envelope.data)[:_LINE],
        evidence_ids=getattr(envelope.data, "evidence_ids", ()),
        payload=_payload(envelope) if payload else None,
        position=stored.position,
        kind=kind_of(envelope.data),
        outcome=outcome_of(envelope.data),
        stage=stage_of(envelope.data),
        severity=entry.severity,
        glyph=entry.glyph,
        title=text_of(envelope.data, "title"),
        label=text_of(envelope.data, "label"),
        sublabel=text_of(envelope.data, "sublabel"),
        notable=entry.notable,
    )


def _payload(envelope: Envelope[Any]) -> Any:
    text = json_format.MessageToJson(envelope.data, preserving_proto_field_name=True)
    return json_format.ParseDict(json.loads(text), api.Event().payload)


def node(source: Node) -> api.LineageNode:
    """Convert a node of a lineage."""
    return _copy(api.LineageNode, source, line=source.line[:_LINE])


def serving_period(period: ServingPeriod) -> api.ServingPeriod:
    """Convert a serving period."""
    return _copy(api.ServingPeriod, period, converged=moment(period.converged_wall_ms))
