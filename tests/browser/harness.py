"""The real control service over a season, to be looked at; and the registry's answers to commands, told by hand."""

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
    """A service that may be stopped and started on the same port."""

    def __init__(self, folder: Path, seasons: Sequence[LoopEvents], loops: Sequence[str]) -> None:
        self.harness = Harness(folder)
        self.harness.views = Views(self.harness.store, self.harness.index, {name: QUESTIONS[name] for name in loops})
        for each in seasons:
            self.harness.tell(each.events)
        self.season = seasons[0] if seasons else LoopEvents()
        self.running: Running | None = None
        self._port = 0
        self.start()

    @property
    def web(self) -> str:
        """The page's address."""
        return f"http://127.0.0.1:{self._port}"

    def start(self) -> None:
        """Serve, on the port that it had before."""
        self.harness.stop.clear()
        self.running = Running(self.harness, self.season, port=self._port, plans={"orders": PLAN}, pages=20, beat_s=1.0)
        self._port = self.running.page.port

    def stop(self) -> None:
        """Serve no more."""
        if self.running is not None:
            running, self.running = self.running, None
            running.end()

    def told(self, count: int) -> None:
        """Put the newest events of the season on their topics."""
        self.harness.tell(self.season.events[-count:])

    def commanded(self, name: str) -> Envelope[Any]:
        """The one event that a command became, as it stands on its topic and was read again."""
        topic = f"control.{name}.v1"
        [record] = assert_eventually(lambda: self.harness.broker.records(topic))
        event_id = (record.header("ce_id") or b"").decode()
        stored = assert_eventually(lambda: self.harness.store.by_id(event_id))
        assert stored is not None
        return stored.event

    def follows(self, command: Envelope[Any], name: str, stage: str) -> None:
        """The registry lets a release enter a stage because of a command, and the router answers so."""
        season, before = self.season, len(self.season.events)
        season.day = command.time_ms // 86_400_000
        season.enters(name, stage, "command", "the command", f"by {command.data.who}: {command.data.why}")
        ours = f"{season.loop}:the command"
        season.events[before:] = [
            replace(each, causation_id=command.id) if each.causation_id == ours else each
            for each in season.events[before:]
        ]
        self.told(len(season.events) - before)

    def takes_back(self, command: Envelope[Any], name: str, former: str) -> None:
        """The registry takes a champion back in favour of the one before."""
        season = self.season
        season.champion, season.epoch = former, season.epoch
        self.follows(command, name, "rolled-back")
        why = f"rolled back by {command.data.who}: {command.data.why}"
        data = registry.ReleaseRolledBack(release_id=name, from_stage="champion", to_release_id=former, reason=why)
        event = replace(season.tell("taken back", data, "command"), causation_id=command.id)
        season.events[-1] = event
        self.told(1)

    def ignored(self, command: Envelope[Any], name: str, reason: str) -> None:
        """The registry finds that a command changes nothing."""
        data = registry.CommandIgnored(command_id=command.id, command=name, reason=reason)
        event = replace(self.season.tell("ignored", data, "command"), causation_id=command.id)
        self.season.events[-1] = event
        self.told(1)
