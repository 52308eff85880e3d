"""From the read model to the API's messages."""

from __future__ import annotations

import json
from typing import Any

from google.protobuf import json_format
from google.protobuf.timestamp_pb2 import Timestamp

from driftloop.contracts import control_api_pb2 as api
from driftloop.contracts import evaluation_pb2 as evaluation
from driftloop.contracts import monitoring_pb2 as monitoring
from driftloop.events.envelope import Envelope
from driftloop.readmodel.advice import next_step
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
from driftloop.readmodel.releases import ReleaseState, StageAt
from services.control.ports import Stored

_LINE = 400


def moment(time_ms: int | None) -> Timestamp | None:
    """Milliseconds since the epoch; None stays None."""
    if time_ms is None:
        return None
    found = Timestamp()
    found.FromMilliseconds(time_ms)
    return found


def loop(state: LoopState, description: str) -> api.Loop:
    """A loop now."""
    return api.Loop(
        name=state.loop,
        description=description,
        champion=state.champion,
        champion_since=moment(state.champion_since_ms),
        epoch=state.epoch,
        converged_epoch=state.converged_epoch,
        challenger=state.release,
        stage=state.stage,
        share=state.share,
        paused=state.paused,
        approval=None if state.waiting is None else approval(state.loop, state.waiting),
        last_verdict=state.verdict,
        last_alarm=state.alarm,
        last_alarm_time=moment(state.alarm_ms),
        event_time=moment(state.time_ms or None),
        open=state.open,
        next=next_step(state),
        former=state.former,
    )


def approval(loop_name: str, waiting: Waiting) -> api.Approval:
    """A release that waits for a person."""
    return api.Approval(
        loop=loop_name,
        release_id=waiting.release,
        to_stage=waiting.to_stage,
        deadline=moment(waiting.deadline_ms),
        event_id=waiting.event_id,
    )


def release(found: ReleaseState) -> api.Release:
    """A release."""
    return api.Release(
        release_id=found.release_id,
        loop=found.loop,
        stage=found.stage,
        stages=[_stage(each) for each in found.stages],
        verdicts=[_verdict(each) for each in found.verdicts],
        run_id=found.run_id,
        request_id=found.request_id,
        bundle_uri=found.bundle_uri,
        bundle_digest=found.bundle_digest,
        correlation_id=found.correlation_id,
        ended_because=found.ended_because,
    )


def _stage(found: StageAt) -> api.Stage:
    return api.Stage(
        stage=found.stage,
        share=found.share,
        epoch=found.epoch,
        since=moment(found.since_ms),
        because=found.because,
        event_id=found.event_id,
    )


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
    """A closed window."""
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
        psi={each.name: each.psi for each in data.histograms if each.release_id == data.champion_release_id},
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
    found = stored.event
    entry = entry_of(found.data)
    return api.Event(
        id=found.id,
        type=found.type,
        loop=found.loop,
        time=moment(found.time_ms),
        wall_time=moment(found.wall_time_ms),
        correlation_id=found.correlation_id,
        causation_id=found.causation_id or "",
        source=found.source.rpartition("/")[2],
        line=describe_data(found.data)[:_LINE],
        evidence_ids=getattr(found.data, "evidence_ids", ()),
        payload=_payload(found) if payload else None,
        position=stored.position,
        kind=kind_of(found.data),
        outcome=outcome_of(found.data),
        stage=stage_of(found.data),
        severity=entry.severity,
        glyph=entry.glyph,
        title=text_of(found.data, "title"),
        label=text_of(found.data, "label"),
        sublabel=text_of(found.data, "sublabel"),
        notable=entry.notable,
    )


def _payload(found: Envelope[Any]) -> Any:
    text = json_format.MessageToJson(found.data, preserving_proto_field_name=True)
    return json_format.ParseDict(json.loads(text), api.Event().payload)


def node(found: Node) -> api.LineageNode:
    """A node of a lineage."""
    return api.LineageNode(
        kind=found.kind, id=found.id, line=found.line[:_LINE], time=moment(found.time_ms), causes=found.causes
    )


def serving_period(found: ServingPeriod) -> api.ServingPeriod:
    """An epoch."""
    return api.ServingPeriod(
        loop=found.loop,
        epoch=found.epoch,
        champion=found.champion,
        challenger=found.challenger,
        stage=found.stage,
        share=found.share,
        since=moment(found.since_ms),
        until=moment(found.until_ms),
        converged=moment(found.converged_wall_ms),
        because=found.because,
        who=found.who,
        cause_id=found.cause_id,
    )
