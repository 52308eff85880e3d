"""Lineage: the graph of what led to a prediction, a release, a run or an event. Every id in it can be looked up."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from google.protobuf.message import Message

from driftloop.contracts import evaluation_pb2 as evaluation
from driftloop.contracts import monitoring_pb2 as monitoring
from driftloop.contracts import predictions_pb2 as predictions
from driftloop.contracts import registry_pb2 as registry
from driftloop.contracts import training_pb2 as training
from driftloop.events.envelope import Envelope
from driftloop.readmodel.event_text import COMMANDS, day, describe_data
from driftloop.readmodel.loop_history import LoopHistory
from driftloop.readmodel.releases import ReleaseState

EventById = Callable[[str], Envelope[Any] | None]


@dataclass(frozen=True)
class Node:
    """A node of the lineage graph."""

    kind: str
    """prediction, route, stage, release, bundle, run, request, alarm, reason, verdict, window, command, table or
    event."""
    id: str
    """Id of an event, release, run or prediction; digest of a bundle; `<table>@<version>` in the lake."""
    line: str
    time_ms: int | None
    """Event time."""
    causes: tuple[str, ...]
    """Ids of nodes."""


class Lineage:
    """Answers from the history of a loop. ``by_id`` also returns windows that the history does not keep."""

    def __init__(self, history: LoopHistory, by_id: EventById) -> None:
        self._history = history
        self._by_id = by_id
        digests = {release.bundle_digest for release in history.releases.values() if release.bundle_digest}
        self._bundles = {f"{_BUNDLE}{digest}" for digest in digests}
        self._tables = {name for run in history.of_kind(training.RunStarted) for name in _tables(run.data)}

    def of(self, start: str) -> list[Node]:
        """Return the node of an id, then everything that led to it, nearest first; empty if the id is unknown."""
        return self._follow(start, None)

    def of_prediction(self, prediction: predictions.PredictionServed) -> list[Node]:
        """Return the node of a prediction, then its release, its route and everything that led to them."""
        route = self._history.first(registry.RouteChanged, "epoch", prediction.route_epoch)
        causes = (prediction.release_id, *([route.id] if route else []))
        at = f"features of {day(prediction.feature_watermark_ms)}" if prediction.feature_watermark_ms else "no features"
        line = f"{prediction.key}: {prediction.score:.4f} by {prediction.release_id} ({prediction.arm}), {at}"
        node = Node("prediction", prediction.prediction_id, line, prediction.decision_time_ms, causes)
        return self._follow(prediction.prediction_id, node)

    def _follow(self, start: str, first: Node | None) -> list[Node]:
        nodes: dict[str, Node] = {}
        queue = [start]
        while queue:
            name = queue.pop(0)
            node = first if first is not None and name == first.id else self._node(name)
            if name not in nodes and node is not None:
                nodes[name] = node
                queue += node.causes
        return [_known_causes(node, nodes) for node in nodes.values()]

    def _node(self, name: str) -> Node | None:
        if name in self._history.releases:
            return _release_node(self._history.releases[name])
        if (run := self._history.first(training.RunStarted, "run_id", name)) is not None:
            return self._run_node(run)
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
        request = self._history.first(training.RetrainRequested, "request_id", data.request_id)
        causes = (*([request.id] if request else []), *tables)
        what = "a run that packs an imported model" if request and request.data.HasField("model") else "a training run"
        return Node("run", data.run_id, f"{what}, on {len(tables)} tables", event.time_ms, causes)

    def _event_node(self, event: Envelope[Any]) -> Node:
        kind = _KINDS.get(type(event.data), "event")
        causes = dict.fromkeys(
            [event.causation_id or "", *getattr(event.data, "evidence_ids", ()), *_links(event.data)]
        )
        others = tuple(cause for cause in causes if cause and cause != event.id)
        return Node(kind, event.id, describe_data(event.data), event.time_ms, others)


_BUNDLE = "sha256:"
_KINDS: dict[type[Message], str] = {
    registry.RouteChanged: "route",
    registry.StageEntered: "stage",
    training.RetrainRequested: "request",
    training.ReasonCoalesced: "reason",
    monitoring.DriftDetected: "alarm",
    monitoring.WindowClosed: "window",
    evaluation.VerdictReached: "verdict",
    **dict.fromkeys(COMMANDS, "command"),
}


def _links(data: Message) -> list[str]:
    """Return ids that a message has in other fields."""
    if isinstance(data, training.RetrainRequested):
        return [reason.event_id for reason in data.reasons]
    if isinstance(data, training.ReasonCoalesced):
        return [data.reason.event_id]
    return [data.run_id] if isinstance(data, training.CandidateTrained) else []


def _release_node(release: ReleaseState) -> Node:
    offline = [verdict.id for verdict in release.verdicts if verdict.data.stage == "offline"]
    bundle = [f"{_BUNDLE}{release.bundle_digest}"] if release.bundle_digest else []
    causes = tuple(cause for cause in (*offline, release.run_id, *bundle) if cause)
    since = release.stages[0].since_ms if release.stages else None
    return Node("release", release.release_id, f"{release.release_id}, {release.stage} now", since, causes)


def _tables(data: training.RunStarted) -> list[str]:
    """Return the lake tables that a run read, with their versions."""
    views = [(f"views/{name}", version) for name, version in data.view_versions.items()]
    return [f"{name}@{version}" for name, version in sorted([*data.lake_versions.items(), *views])]


def _known_causes(node: Node, nodes: dict[str, Node]) -> Node:
    """Return the node without causes that are unknown: of another loop, or older than the log."""
    return replace(node, causes=tuple(cause for cause in node.causes if cause in nodes))
