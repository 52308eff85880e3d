"""The page's API as JSON: messages of the gRPC API, with additions for the page's pictures."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import asdict
from typing import Any

from driftloop.contracts import control_api_pb2 as api
from driftloop.contracts.message_json import as_dict
from driftloop.readmodel.slices import slice_quality
from services.control import messages
from services.control.views import NotThere, Views
from services.control.web.plans import Plan, newest_verdict, progress

Json = dict[str, Any]
_LINEAGE_S = 5.0


class Answers:
    """Reads answers from the read model, on any thread.

    All methods raise `NotThere` for unknown names.
    """

    def __init__(self, views: Views, plans: Mapping[str, Plan]) -> None:
        self._views = views
        self._plans = dict(plans)

    def loops(self) -> Json:
        """Return `ListLoopsResponse`, the position to follow from, and each loop's plan and progress by name."""
        position = self._views.store.position()
        names = self._views.loops()
        states = {name: self._views.state(name) for name in names}
        response = api.ListLoopsResponse(
            loops=[messages.loop(state, self._views.description(name)) for name, state in states.items()]
        )
        return {
            **as_dict(response),
            "position": position,
            "plans": {name: asdict(self._plans[name]) for name in names if name in self._plans},
            "progress": {name: self._progress(name) for name in names},
        }

    def releases(self, loop: str) -> Json:
        releases = [messages.release(release) for release in self._views.releases(loop)]
        return as_dict(api.ListReleasesResponse(releases=releases))

    def windows(self, loop: str, newest: int, inputs: Collection[str] | None) -> Json:
        """Return `ListWindowsResponse` with the stability index of the given inputs; of all if None."""
        windows = [messages.window(event) for event in self._views.windows(loop, newest)]
        for window in windows if inputs is not None else ():
            for name in set(window.psi) - set(inputs or ()):
                del window.psi[name]
        return as_dict(api.ListWindowsResponse(windows=windows))

    def inputs(self, loop: str, newest: int) -> Json:
        """Return inputs with a stability index by name: the newest, and the highest of the newest windows."""
        inputs: dict[str, Json] = {}
        for event in self._views.windows(loop, newest):
            for name, psi in messages.window(event).psi.items():
                before = inputs.get(name, {"greatest": psi})["greatest"]
                inputs[name] = {"name": name, "newest": psi, "greatest": max(before, psi)}
        return {"inputs": sorted(inputs.values(), key=lambda entry: entry["name"])}

    def slices(self, loop: str, newest: int) -> Json:
        """Return the champion's quality by slice over the newest windows; all its outcomes first."""
        windows = self._views.windows(loop, newest)
        champion = self._views.state(loop).champion
        plan = self._plans.get(loop)
        found = slice_quality((event.data for event in windows), champion, plan.slices if plan else {})
        return {"champion": champion, "slices": [quality.to_json() for quality in found]}

    def history(self, loop: str) -> Json:
        periods = [messages.serving_period(period) for period in self._views.history(loop, None)]
        return as_dict(api.ListHistoryResponse(serving_periods=periods))

    def timeline(self, loop: str, newest: int) -> Json:
        """Return notable events of a loop, or of all loops, oldest first."""
        notable = [stored for stored in self._views.timeline(loop, "") if messages.is_news(stored)]
        return {"events": [as_dict(messages.event(stored, payload=False)) for stored in notable[-newest:]]}

    def chain(self, correlation_id: str) -> Json:
        """Return all events of a chain with their content, oldest first."""
        chain_events = self._views.timeline("", correlation_id)
        if not chain_events:
            raise NotThere(f"there is no chain {correlation_id!r}")
        return {"events": [as_dict(messages.event(stored, payload=True)) for stored in chain_events]}

    def event(self, event_id: str) -> Json:
        return as_dict(messages.event(self._views.event(event_id), payload=True))

    def lineage(self, name: str) -> Json:
        nodes = [messages.node(node) for node in self._views.lineage(name, _LINEAGE_S)]
        return as_dict(api.Lineage(id=name, nodes=nodes))

    def _progress(self, loop: str) -> Json | None:
        """Return the progress of the open release and the newest verdict on it in its stage; None if none is open."""
        state = self._views.state(loop)
        release = next(
            (candidate for candidate in self._views.releases(loop) if candidate.release_id == state.release), None
        )
        if release is None:
            return None
        newest = newest_verdict(state, release)
        verdicts = [
            candidate for candidate in messages.release(release).verdicts if newest and candidate.event_id == newest.id
        ]
        found = progress(self._plans.get(loop), state, release)
        return {**found, "verdict": as_dict(verdicts[0]) if verdicts else None}
