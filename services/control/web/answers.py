"""What the page asks, as JSON: the messages of the gRPC API, and beside them what only a picture needs."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import asdict
from typing import Any

from driftloop.contracts import control_api_pb2 as api
from driftloop.contracts.message_json import as_dict
from services.control import messages
from services.control.views import NotThere, Views
from services.control.web.plans import Plan, newest_verdict, progress

Json = dict[str, Any]
_LINEAGE_S = 5.0


class Answers:
    """Each answer is read from the read model; all may be asked from any thread.

    All raise `NotThere` where nothing bears a name.
    """

    def __init__(self, views: Views, plans: Mapping[str, Plan]) -> None:
        self._views = views
        self._plans = dict(plans)

    def loops(self) -> Json:
        """`ListLoopsResponse`; the place in the read model to follow from; each loop's plan and progress by name."""
        position = self._views.store.position()
        names = self._views.loops()
        states = {name: self._views.state(name) for name in names}
        found = api.ListLoopsResponse(
            loops=[messages.loop(state, self._views.description(name)) for name, state in states.items()]
        )
        return {
            **as_dict(found),
            "position": position,
            "plans": {name: asdict(self._plans[name]) for name in names if name in self._plans},
            "progress": {name: self._progress(name) for name in names},
        }

    def releases(self, loop: str) -> Json:
        """`ListReleasesResponse`."""
        found = [messages.release(each) for each in self._views.releases(loop)]
        return as_dict(api.ListReleasesResponse(releases=found))

    def windows(self, loop: str, newest: int, inputs: Collection[str] | None) -> Json:
        """`ListWindowsResponse`, with the stability index of those inputs alone; of all where None."""
        found = [messages.window(each) for each in self._views.windows(loop, newest)]
        for window in found if inputs is not None else ():
            for name in set(window.psi) - set(inputs or ()):
                del window.psi[name]
        return as_dict(api.ListWindowsResponse(windows=found))

    def inputs(self, loop: str, newest: int) -> Json:
        """Inputs with a stability index, by name: the newest, and the greatest of the newest windows."""
        told: dict[str, Json] = {}
        for event in self._views.windows(loop, newest):
            for name, psi in messages.window(event).psi.items():
                before = told.get(name, {"greatest": psi})["greatest"]
                told[name] = {"name": name, "newest": psi, "greatest": max(before, psi)}
        return {"inputs": sorted(told.values(), key=lambda each: each["name"])}

    def history(self, loop: str) -> Json:
        """`ListHistoryResponse`."""
        found = [messages.serving_period(each) for each in self._views.history(loop, None)]
        return as_dict(api.ListHistoryResponse(serving_periods=found))

    def timeline(self, loop: str, newest: int) -> Json:
        """Events of a loop that are news, or of all loops, oldest first."""
        found = [each for each in self._views.timeline(loop, "") if messages.is_news(each)]
        return {"events": [as_dict(messages.event(each, payload=False)) for each in found[-newest:]]}

    def chain(self, correlation_id: str) -> Json:
        """All events of a chain with their content, oldest first."""
        found = self._views.timeline("", correlation_id)
        if not found:
            raise NotThere(f"no event bears the chain {correlation_id!r}")
        return {"events": [as_dict(messages.event(each, payload=True)) for each in found]}

    def event(self, event_id: str) -> Json:
        """`Event` with its content."""
        return as_dict(messages.event(self._views.event(event_id), payload=True))

    def lineage(self, name: str) -> Json:
        """`Lineage`."""
        nodes = [messages.node(each) for each in self._views.lineage(name, _LINEAGE_S)]
        return as_dict(api.Lineage(id=name, nodes=nodes))

    def _progress(self, loop: str) -> Json | None:
        """How far the open release is, and the newest verdict on it in its stage; None where none is open."""
        state = self._views.state(loop)
        release = next((each for each in self._views.releases(loop) if each.release_id == state.release), None)
        if release is None:
            return None
        newest = newest_verdict(state, release)
        told = [each for each in messages.release(release).verdicts if newest and each.event_id == newest.id]
        found = progress(self._plans.get(loop), state, release)
        return {**found, "verdict": as_dict(told[0]) if told else None}
