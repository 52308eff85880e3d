"""The real control service over written histories, and hand-written answers of the registry to commands."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from driftloop.contracts import registry_pb2 as registry
from driftloop.events.envelope import Envelope
from services.control.views import Views
from tests.browser.fixtures import PLAN, LoopEvents
from tests.helpers.eventually import assert_eventually
from tests.unit.control.harness import Harness
from tests.unit.control.running import Running

QUESTIONS = {
    "orders": "When a parcel leaves a shop, how many of its items will come back?",
    "parcels": "When a parcel is handed over, how many hours will it take?",
    "returns": "Will an item that comes back be sold again?",
}


class PageHarness:
    """A control service that can be stopped and started on the same port.

    ``history`` is the first of the histories; the methods add events to it.
    """

    def __init__(self, folder: Path, histories: Sequence[LoopEvents], loops: Sequence[str]) -> None:
        self.control = Harness(folder)
        self.control.views = Views(self.control.store, self.control.index, {name: QUESTIONS[name] for name in loops})
        for history in histories:
            self.control.publish(history.events)
        self.history = histories[0] if histories else LoopEvents()
        self.running: Running | None = None
        self._port = 0
        self.start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._port}"

    def start(self) -> None:
        self.control.stop.clear()
        self.running = Running(
            self.control, self.history, port=self._port, plans={"orders": PLAN}, pages=20, beat_s=1.0
        )
        self._port = self.running.page.port

    def stop(self) -> None:
        if self.running is not None:
            running, self.running = self.running, None
            running.end()

    def publish(self, count: int) -> None:
        """Publish the newest ``count`` events of the history."""
        self.control.publish(self.history.events[-count:])

    def sent_command(self, name: str) -> Envelope[Any]:
        """Wait for the one event of a command and return it as the read model stored it."""
        topic = f"control.{name}.v1"
        [record] = assert_eventually(lambda: self.control.broker.records(topic))
        event_id = (record.header("ce_id") or b"").decode()
        stored = assert_eventually(lambda: self.control.store.by_id(event_id))
        assert stored is not None
        return stored.event

    def enter_stage_after(self, command: Envelope[Any], release: str, stage: str) -> None:
        """Publish that a release enters a stage because of a command, and that the router applies the route."""
        history, before = self.history, len(self.history.events)
        history.day = command.time_ms // 86_400_000
        history.enter_stage(release, stage, "command", "the command", f"by {command.data.who}: {command.data.why}")
        cause = f"{history.loop}:the command"
        history.events[before:] = [
            replace(event, causation_id=command.id) if event.causation_id == cause else event
            for event in history.events[before:]
        ]
        self.publish(len(history.events) - before)

    def roll_back_after(self, command: Envelope[Any], release: str, previous: str) -> None:
        """Publish that the registry replaces a champion by the previous one because of a command."""
        self.history.champion = previous
        self.enter_stage_after(command, release, "rolled-back")
        reason = f"rolled back by {command.data.who}: {command.data.why}"
        data = registry.ReleaseRolledBack(
            release_id=release, from_stage="champion", to_release_id=previous, reason=reason
        )
        self._publish_caused_by(command, "rolled back", data)

    def ignore(self, command: Envelope[Any], name: str, reason: str) -> None:
        """Publish that a command changes nothing."""
        data = registry.CommandIgnored(command_id=command.id, command=name, reason=reason)
        self._publish_caused_by(command, "ignored", data)

    def _publish_caused_by(self, command: Envelope[Any], name: str, data: Any) -> None:
        event = replace(self.history.add(name, data, "command"), causation_id=command.id)
        self.history.events[-1] = event
        self.publish(1)
