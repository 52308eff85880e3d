"""The chain of causes from an alarm to its end as a picture: a box an event, in time, an arrow a cause. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from markupsafe import Markup, escape

from driftloop.contracts import evaluation_pb2 as evaluation
from driftloop.contracts import monitoring_pb2 as monitoring
from driftloop.contracts import registry_pb2 as registry
from driftloop.contracts import serving_pb2 as serving
from driftloop.contracts import training_pb2 as training
from driftloop.events.envelope import Envelope
from driftloop.ops.report.canvas import titled
from driftloop.ops.report.captions import Caption, caption
from driftloop.ops.report.incidents import chain_of
from driftloop.readmodel.attempts import Incident
from driftloop.readmodel.event_text import COMMANDS, day

_LANES = ("monitoring", "training", "evaluation", "registry", "serving", "control")
_FILLS = {
    "monitoring": "#fde8e4",
    "training": "#eeeeee",
    "evaluation": "#e4eefa",
    "registry": "#e3f3e5",
    "serving": "#fbf0dc",
    "control": "#f2e6f7",
}
_GUTTER, _INDENT, _WIDTH, _HEIGHT, _STEP = 46, 18, 300, 40, 54
_INK, _DIM, _EDGE = "#1a1a1a", "#555555", "#666666"


@dataclass(frozen=True)
class Box:
    """An event of the chain."""

    event_id: str
    lane: str
    caption: Caption
    causes: tuple[str, ...]
    """Ids of boxes."""


def boxes(incident: Incident, events: Sequence[Envelope[Any]]) -> list[Box]:
    """What a chain comes down to, causes first: verdicts that decided nothing are left out.

    ``events`` are the loop's own. An arrow skips events that are left out.
    """
    chain = chain_of(incident, events)
    known = {event.id: event for event in events}
    acted = {event.causation_id for event in chain if not isinstance(event.data, serving.RouteConverged)}
    kept = [event for event in chain if _is_step(event, acted)] + [
        event for event in events if isinstance(event.data, COMMANDS) and _is_named(event, chain)
    ]
    shown = {event.id for event in kept}
    causes = {event.id: _causes(event, shown, known) for event in kept}
    order = sorted(kept, key=lambda event: (event.wall_time_ms, _depth(event.id, causes), event.id))
    found = [Box(event.id, event.type.split(".")[1], caption(event), causes[event.id]) for event in order]
    return [*_evidence(incident), *found]


def draw(found: Sequence[Box]) -> Markup:
    """The picture as SVG; its text is that of the captions, escaped."""
    width = _GUTTER + _INDENT * (len(_LANES) - 1) + _WIDTH + 4
    height = _STEP * len(found) + 4
    rows = {box.event_id: row for row, box in enumerate(found)}
    arrows = [_arrow(found, rows[cause], row) for row, box in enumerate(found) for cause in box.causes if cause in rows]
    drawn = "".join([_HEAD, *arrows, *(_box(box, row) for row, box in enumerate(found))])
    text = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}">'
    told = "; then ".join(f"{box.caption.title} ({box.caption.detail}, {box.caption.at})" for box in found)
    return Markup(titled(f"{text}{drawn}</svg>", "The chain of causes", told))  # noqa: S704


_HEAD = (
    '<defs><marker id="arrow" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" markerHeight="7" orient="auto">'
    f'<path d="M0 0L8 4L0 8z" fill="{_EDGE}"/></marker></defs>'
)


def _evidence(incident: Incident) -> list[Box]:
    if not incident.windows:
        return []
    first, last = incident.windows[0].data, incident.windows[-1].data
    dates = f"its evidence, {day(first.start_ms)[:10]} to {day(last.end_ms)[:10]}"
    what = Caption(f"{len(incident.windows)} windows closed", dates, "")
    return [Box(incident.windows[-1].id, "monitoring", what, ())]


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
    """What an event names beside its cause; a candidate only repeats the reasons of its request."""
    asked = isinstance(event.data, training.RetrainRequested)
    reasons = [each.event_id for each in event.data.reasons] if asked else []
    return (*getattr(event.data, "evidence_ids", ()), *reasons)


def _causes(event: Envelope[Any], shown: set[str], known: dict[str, Envelope[Any]]) -> tuple[str, ...]:
    """The nearest event that is shown among its causes, and what it names beside that."""
    cause = known.get(event.causation_id or "")
    while cause is not None and cause.id not in shown:
        cause = known.get(cause.causation_id or "")
    named = [name for name in _evidence_ids(event) if name in shown or isinstance(event.data, monitoring.DriftDetected)]
    return tuple(dict.fromkeys([*([cause.id] if cause else []), *named]))


def _depth(name: str, causes: dict[str, tuple[str, ...]]) -> int:
    """Longest way up to a box without a cause; a cause is there before what it led to, so there is no circle."""
    return 1 + max((_depth(cause, causes) for cause in causes.get(name, ())), default=0)


def _place(box: Box, row: int) -> tuple[int, int]:
    lane = _LANES.index(box.lane) if box.lane in _LANES else 0
    return _GUTTER + _INDENT * lane, row * _STEP + 2


def _arrow(found: Sequence[Box], start: int, end: int) -> str:
    """Straight down to the next row; around the boxes between, on the left, to a later one."""
    (x1, y1), (x2, y2) = _place(found[start], start), _place(found[end], end)
    if end == start + 1:
        x = max(x1, x2) + 22
        way = f"M{x} {y1 + _HEIGHT}V{y2}"
    else:
        bow = max(4, _GUTTER - 10 * min(end - start, 4))
        way = f"M{x1} {y1 + _HEIGHT - 10}C{bow} {y1 + _HEIGHT} {bow} {y2} {x2 - 1} {y2 + 14}"
    return f'<path d="{way}" fill="none" stroke="{_EDGE}" stroke-width="1.2" marker-end="url(#arrow)"/>'


def _box(box: Box, row: int) -> str:
    x, y = _place(box, row)
    fill = _FILLS.get(box.lane, "#ffffff")
    style = 'font-family="system-ui, sans-serif"'
    return (
        f'<rect x="{x}" y="{y}" width="{_WIDTH}" height="{_HEIGHT}" rx="5" fill="{fill}" stroke="#999999"/>'
        f'<text x="{x + 9}" y="{y + 16}" {style} font-size="13" font-weight="600" fill="{_INK}">'
        f"{escape(box.caption.title)}</text>"
        f'<text x="{x + _WIDTH - 8}" y="{y + 16}" {style} font-size="11" text-anchor="end" fill="{_DIM}">'
        f"{escape(box.caption.at)}</text>"
        f'<text x="{x + 9}" y="{y + 32}" {style} font-size="12" fill="{_DIM}">{escape(box.caption.detail)}</text>'
    )
