"""The chain of causes from an alarm to its end, as events for the page's picture of a chain. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from driftloop.contracts import evaluation_pb2 as evaluation
from driftloop.contracts import monitoring_pb2 as monitoring
from driftloop.contracts import registry_pb2 as registry
from driftloop.contracts import serving_pb2 as serving
from driftloop.contracts import training_pb2 as training
from driftloop.events.envelope import Envelope, rfc3339
from driftloop.ops.report.figures import Figure
from driftloop.ops.report.incidents import chain_of
from driftloop.readmodel.attempts import Incident
from driftloop.readmodel.event_text import describe_data, entry_of, text_of
from driftloop.readmodel.loop_history import LoopHistory


def chain_picture(incident: Incident, history: LoopHistory) -> Figure:
    """Return the chain of an incident, causes first.

    Verdicts that decided nothing are left out; an edge skips events that are left out.
    """
    chain = chain_of(incident, history)
    acted = {event.causation_id for event in chain if not isinstance(event.data, serving.RouteConverged)}
    kept = [event for event in chain if _is_step(event, acted)] + [
        command for command in history.commands.values() if _is_named(command, chain)
    ]
    ids = {event.id for event in kept}
    causes = {event.id: _causes(event, ids, history) for event in kept}
    order = sorted(kept, key=lambda event: (event.wall_time_ms, _depth(event.id, causes), event.id))
    nodes = [*_evidence(incident), *(_node(event, causes[event.id]) for event in order)]
    return Figure("chain", {"events": nodes})


def _node(event: Envelope[Any], causes: Sequence[str]) -> dict[str, Any]:
    """Return the fields of the control API's event that the picture shows, and the ids of its causes."""
    return {
        "id": event.id,
        "type": event.type,
        "time": rfc3339(event.time_ms),
        "line": describe_data(event.data),
        "glyph": entry_of(event.data).glyph,
        "label": text_of(event.data, "label"),
        "sublabel": text_of(event.data, "sublabel"),
        "causes": causes,
    }


def _evidence(incident: Incident) -> list[dict[str, Any]]:
    """Return one node for all windows that the alarm rests on."""
    if not incident.windows:
        return []
    last, count = incident.windows[-1], len(incident.windows)
    line = (
        f"{count} windows closed, {rfc3339(incident.windows[0].data.start_ms)[:10]} to {rfc3339(last.data.end_ms)[:10]}"
    )
    return [{**_node(last, ()), "line": line, "label": f"{count} windows", "sublabel": "closed"}]


def _is_step(event: Envelope[Any], acted: set[str | None]) -> bool:
    if isinstance(event.data, monitoring.WindowClosed | monitoring.WindowDecided | registry.RouteChanged):
        return False
    if isinstance(event.data, evaluation.VerdictReached):
        return event.id in acted
    if isinstance(event.data, registry.StageEntered):
        return event.data.stage in ("shadow", "canary")
    return True


def _is_named(command: Envelope[Any], chain: Sequence[Envelope[Any]]) -> bool:
    if any(event.id == command.id for event in chain):
        return False
    return any(command.id in (event.causation_id, *_evidence_ids(event)) for event in chain)


def _evidence_ids(event: Envelope[Any]) -> tuple[str, ...]:
    """Return the ids that an event names beside its cause; a candidate only repeats the reasons of its request."""
    reasons = event.data.reasons if isinstance(event.data, training.RetrainRequested) else []
    return (*getattr(event.data, "evidence_ids", ()), *(reason.event_id for reason in reasons))


def _causes(event: Envelope[Any], ids: set[str], history: LoopHistory) -> list[str]:
    """Return the nearest cause among ``ids`` and the evidence that the event names.

    An alarm keeps all its evidence: the node of the windows has the id of the newest.
    """
    cause = history.events.get(event.causation_id or "")
    while cause is not None and cause.id not in ids:
        cause = history.events.get(cause.causation_id or "")
    named = [name for name in _evidence_ids(event) if name in ids or isinstance(event.data, monitoring.DriftDetected)]
    return list(dict.fromkeys([*([cause.id] if cause else []), *named]))


def _depth(event_id: str, causes: dict[str, list[str]]) -> int:
    """Return the longest path to an event without a cause. There is no circle: a cause is published first."""
    return 1 + max((_depth(cause, causes) for cause in causes.get(event_id, ())), default=0)
