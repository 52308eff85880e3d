"""What led to a prediction, a release, a run or an event: a graph whose ids can all be looked up."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from google.protobuf.message import Message

from driftloop.contracts import control_pb2 as control
from driftloop.contracts import evaluation_pb2 as evaluation
from driftloop.contracts import monitoring_pb2 as monitoring
from driftloop.contracts import predictions_pb2 as predictions
from driftloop.contracts import registry_pb2 as registry
from driftloop.contracts import training_pb2 as training
from driftloop.events.envelope import Envelope
from driftloop.readmodel.event_text import day, describe_data
from driftloop.readmodel.releases import ReleaseState, release_states

EventById = Callable[[str], Envelope[Any] | None]


@dataclass(frozen=True)
class Node:
    """Something that led to what was asked for."""

    kind: str
    """prediction, route, stage, release, bundle, run, request, alarm, reason, verdict, window, command, table or else
    event."""
    id: str
    """An event's id; a release's, run's or prediction's; a bundle's digest; `<table>@<version>` in the lake."""
    line: str
    time_ms: int | None
    """Event time."""
    causes: tuple[str, ...]
    """Ids of nodes."""


class Lineage:
    """Answers from the events of a loop; windows are looked up by id, since there are many."""

    def __init__(self, events: Iterable[Envelope[Any]], by_id: EventById) -> None:
        self._by_id = by_id
        self._runs: dict[str, Envelope[training.RunStarted]] = {}
        self._requests: dict[str, Envelope[training.RetrainRequested]] = {}
        self._routes: dict[int, Envelope[registry.RouteChanged]] = {}
        own = list(events)
        for event in own:
            if isinstance(event.data, training.RunStarted):
                self._runs[event.data.run_id] = event
            elif isinstance(event.data, training.RetrainRequested):
                self._requests[event.data.request_id] = event
            elif isinstance(event.data, registry.RouteChanged):
                self._routes[event.data.epoch] = event
        self._releases: dict[str, ReleaseState] = {each.release_id: each for each in release_states(own)}
        self._bundles = {f"{_BUNDLE}{each.bundle_digest}" for each in self._releases.values() if each.bundle_digest}
        self._tables = {name for run in self._runs.values() for name in _tables(run.data)}

    def of(self, start: str) -> list[Node]:
        """What was asked for first, then what led to it, nearest first; empty where nothing bears the id."""
        return self._follow(start, None)

    def of_prediction(self, prediction: predictions.PredictionServed) -> list[Node]:
        """A prediction with its release, its route and all that led to them."""
        route = self._routes.get(prediction.route_epoch)
        causes = (prediction.release_id, *([route.id] if route else []))
        at = f"features of {day(prediction.feature_watermark_ms)}" if prediction.feature_watermark_ms else "no features"
        line = f"{prediction.key}: {prediction.score:.4f} by {prediction.release_id} ({prediction.arm}), {at}"
        node = Node("prediction", prediction.prediction_id, line, prediction.decision_time_ms, causes)
        return self._follow(prediction.prediction_id, node)

    def _follow(self, start: str, first: Node | None) -> list[Node]:
        found: dict[str, Node] = {}
        waiting = [start]
        while waiting:
            at = waiting.pop(0)
            node = first if first is not None and at == first.id else self._node(at)
            if at not in found and node is not None:
                found[at] = node
                waiting += node.causes
        return [_known_causes(node, found) for node in found.values()]

    def _node(self, name: str) -> Node | None:
        if name in self._releases:
            return _release_node(self._releases[name])
        if name in self._runs:
            return self._run_node(self._runs[name])
        if name in self._tables:
            table, _, version = name.rpartition("@")
            return Node("table", name, f"version {version} of {table} in the lake", None, ())
        if name in self._bundles:
            return Node("bundle", name, f"the release's files, sha256 {name[len(_BUNDLE) :]}", None, ())
        event = self._by_id(name)
        return None if event is None else self._event_node(event)

    def _run_node(self, event: Envelope[training.RunStarted]) -> Node:
        data = event.data
        tables = _tables(data)
        request = self._requests.get(data.request_id)
        causes = (*([request.id] if request else []), *tables)
        what = "a run that packs an imported model" if request and request.data.HasField("model") else "a training run"
        return Node("run", data.run_id, f"{what}, on {len(tables)} tables", event.time_ms, causes)

    def _event_node(self, event: Envelope[Any]) -> Node:
        kind = _KINDS.get(type(event.data), "event")
        causes = dict.fromkeys([event.causation_id or "", *_evidence(event), *self._links(event)])
        known = tuple(each for each in causes if each and each != event.id)
        return Node(kind, event.id, describe_data(event.data), event.time_ms, known)

    def _links(self, event: Envelope[Any]) -> Iterator[str]:
        """Ids that a message holds in other fields."""
        data = event.data
        if isinstance(data, training.RetrainRequested):
            yield from (reason.event_id for reason in data.reasons)
        elif isinstance(data, training.ReasonCoalesced):
            yield data.reason.event_id
        elif isinstance(data, training.CandidateTrained):
            yield data.run_id


_BUNDLE = "sha256:"
_KINDS: dict[type[Message], str] = {
    registry.RouteChanged: "route",
    registry.StageEntered: "stage",
    training.RetrainRequested: "request",
    training.ReasonCoalesced: "reason",
    monitoring.DriftDetected: "alarm",
    monitoring.WindowClosed: "window",
    evaluation.VerdictReached: "verdict",
    control.Approve: "command",
    control.Reject: "command",
    control.Rollback: "command",
    control.Retrain: "command",
    control.Pause: "command",
    control.Resume: "command",
    control.Import: "command",
}


def _release_node(release: ReleaseState) -> Node:
    offline = [each.id for each in release.verdicts if each.data.stage == "offline"]
    bundle = [f"{_BUNDLE}{release.bundle_digest}"] if release.bundle_digest else []
    causes = tuple(each for each in (*offline, release.run_id, *bundle) if each)
    since = release.stages[0].since_ms if release.stages else None
    return Node("release", release.release_id, f"{release.release_id}, {release.stage} now", since, causes)


def _tables(data: training.RunStarted) -> list[str]:
    """Tables of the lake that a run read, with their versions."""
    views = [(f"views/{name}", version) for name, version in data.view_versions.items()]
    return [f"{name}@{version}" for name, version in sorted([*data.lake_versions.items(), *views])]


def _evidence(event: Envelope[Any]) -> Iterator[str]:
    yield from getattr(event.data, "evidence_ids", ())


def _known_causes(node: Node, found: dict[str, Node]) -> Node:
    """Without causes that nothing bears: of another loop's log, or older than the log."""
    return Node(node.kind, node.id, node.line, node.time_ms, tuple(each for each in node.causes if each in found))
