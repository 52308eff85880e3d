"""What must hold after every step of a simulation, and when nothing is left to do."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from typing import Any

from driftloop.bus.ports import Record
from driftloop.drift.detectors import DetectorState, apply_window
from driftloop.drift.windows import champion_window, detector_rules
from driftloop.events.event_log import decode, distinct_events
from driftloop.process.errors import LeaseLost, Retriable
from driftloop.readmodel.loop_history import LoopHistory
from services.monitoring.detectors import messages as detector_messages
from services.training.domain.state import RetrainState, parse_state
from tests.simulation.environment import LOOP
from tests.simulation.scheduler import Killed
from tests.simulation.system import WINDOW_CLOSED, System

_OFFSET_HEADERS = ("ce_walltime", "traceparent")
"""Headers in which two copies of an event may differ."""


_EXPECTED = (Retriable, LeaseLost, Killed)
"""What may end an instance."""


class Violation(AssertionError):
    """An invariant does not hold."""


class Invariants:
    """Checks a system. Each check reads committed rows and published events only."""

    def __init__(self, system: System) -> None:
        self._system = system
        self._published: dict[str, str] = {}
        """Digest of each event by id."""
        self._events_of: dict[str, list[Any]] = {}
        self._problems: list[str] = []
        self._epoch = 0
        self._checks = {"registry": self._registry, "evaluation": self._evaluation, "training": self._training}
        self._checks["detectors"] = self._detectors
        self._handled: set[tuple[str, str]] = set()
        self._detectors_end_ms: dict[str, int] = {}
        system.broker.on_append = self._appended

    def after_step(self) -> None:
        """Check what the last step changed.

        Raises:
            Violation: an invariant does not hold.
        """
        scheduler = self._system.scheduler
        self._problems += [
            f"{name} ended by {error!r}" for name, error in scheduler.failures if not isinstance(error, _EXPECTED)
        ]
        scheduler.failures.clear()
        changed, scheduler.changed = scheduler.changed, set()
        for service in changed:
            if service in self._checks:
                self._problems += self._checks[service]()
            self._problems += self._written(service)
        self._raise()

    def at_rest(self) -> None:
        """Check a system in which nothing fails and nothing is left to do. Raises as `after_step` does."""
        for check in (self._agreement, self._agreement_on_routes, self._answers, self._alarms, self._dead_letters):
            self._problems += check()
        self._raise()

    def _raise(self) -> None:
        if self._problems:
            raise Violation("; ".join(self._problems))

    def _appended(self, record: Record) -> None:
        """Check that an event has one content and a cause that was published before."""
        scheduler = self._system.scheduler
        headers = dict(record.headers)
        event_id, cause = headers["ce_id"].decode(), headers.get("ce_causationid", b"").decode()
        content = hashlib.sha256(record.value or b"")
        for name, value in record.headers:
            if name not in _OFFSET_HEADERS:
                content.update(name.encode() + b"=" + value)
        digest = content.hexdigest()
        scheduler.note("record", record.topic, record.offset, digest, headers["ce_walltime"].decode())
        known = self._published.setdefault(event_id, digest)
        if known != digest and not record.topic.endswith(".dlq"):
            self._problems.append(f"the event {event_id} of {record.topic} has two contents")
        if cause and cause not in self._published:
            self._problems.append(f"the event {event_id} of {record.topic} was published before its cause {cause}")

    def _written(self, service: str) -> Iterator[str]:
        """An event has its effect once, and an instance that another one has replaced changes nothing."""
        written = self._system.databases[service].written
        for event_id in written.handled:
            if (service, event_id) in self._handled:
                yield f"{service} has handled the event {event_id} twice"
            self._handled.add((service, event_id))
        for writer, owner in written.owners:
            if writer != owner:
                yield f"{writer} has changed the database although the lease belongs to {owner}"
        written.handled.clear()
        written.owners.clear()

    def _detectors(self) -> Iterator[str]:
        """A detector does not go back to an earlier window."""
        for key, text in self._system.databases["detectors"].rows("select key, state from states"):
            end_ms = json.loads(text)["end_ms"]
            if end_ms < self._detectors_end_ms.get(key, 0):
                yield f"the detector {key} went back from {self._detectors_end_ms[key]} to {end_ms}"
            self._detectors_end_ms[key] = end_ms

    def _registry(self) -> Iterator[str]:
        """One champion; epochs only grow; a rollback is possible while an earlier champion exists."""
        rows = self._system.databases["registry"].rows
        for epoch, champion, opened in rows("select epoch, champion_release_id, open_release_id from loops"):
            if epoch < self._epoch:
                yield f"the registry's epoch fell from {self._epoch} to {epoch}"
            self._epoch = epoch
            stages = dict(rows("select release_id, stage from releases"))
            champions = [name for name, stage in stages.items() if stage == "champion"]
            if champions != [champion] * bool(champion):
                yield f"champions are {champions}, the loop's row names {champion}"
            in_rollout = [name for name, stage in stages.items() if stage in ("shadow", "canary")]
            if in_rollout != [opened] * bool(opened):
                yield f"releases in rollout are {in_rollout}, the loop's row names {opened}"
            retired = {name for name, stage in stages.items() if stage == "retired"}
            if retired != set(self._predecessors(champion)):
                yield f"a rollback from {champion} does not reach the retired releases {sorted(retired)}"

    def _predecessors(self, champion: str | None) -> Iterator[str]:
        replaced = dict(self._system.databases["registry"].rows("select release_id, replaced from releases"))
        name = replaced.get(champion or "", "")
        while name:
            yield name
            name = replaced.get(name, "")

    def _evaluation(self) -> Iterator[str]:
        """Each window's sums count once."""
        query = (
            "select window_event_id, challenger_release_id from paired_blocks "
            "group by window_event_id, champion_release_id, challenger_release_id, slice having count(*) > 1"
        )
        for window, release in self._system.databases["evaluation"].rows(query):
            yield f"the paired sums of window {window} for {release} are stored twice"

    def _training(self) -> Iterator[str]:
        """At most one open run; a run has one end; one process works on a run."""
        rows = self._system.databases["training"].rows
        opened = rows("select run_id from runs where phase != 'done'")
        if len(opened) > 1:
            yield f"open runs are {[run for (run,) in opened]}"
        ends = rows("select value from outbox where topic = 'training.candidate-trained.v1'")
        failed = rows("select value from outbox where topic = 'training.run-failed.v1'")
        requested = rows("select count(*) from outbox where topic = 'training.retrain-requested.v1'")[0][0]
        if len(ends) + len(failed) > requested:
            yield f"{requested} requests have {len(ends)} candidates and {len(failed)} failures"

    def _agreement(self) -> Iterator[str]:
        """All services have the same view of the loop."""
        databases = self._system.databases
        state = self._retrain_state()
        loops = databases["registry"].rows("select epoch, champion_release_id, open_release_id from loops")
        _epoch, champion, opened = loops[0] if loops else (0, None, None)
        paused = databases["registry"].rows("select 1 from loops where paused")
        if bool(paused) != state.paused:
            yield f"the registry is {'paused' if paused else 'running'}, training the other"
        if state.champion != (champion or ""):
            yield f"the champion is {champion}, training has {state.champion or None}"
        if state.chain is not None and state.chain.release_id != opened:
            yield f"training waits for {state.chain.release_id} ({state.chain.phase}), the open release is {opened}"
        if state.chain is None and opened:
            yield f"{opened} is open, training waits for no release"

    def _agreement_on_routes(self) -> Iterator[str]:
        """Evaluation judges what the registry has open, and the router serves the registry's champion."""
        databases = self._system.databases
        loops = databases["registry"].rows("select epoch, champion_release_id, open_release_id from loops")
        epoch, champion, opened = loops[0] if loops else (0, None, None)
        judged = databases["evaluation"].rows("select release_id from champions where release_id != ''")
        if [name for (name,) in judged] != [champion] * bool(champion):
            yield f"the champion is {champion}, evaluation has {judged}"
        query = "select release_id, epoch from stages where ended = 0 and stage in ('shadow', 'canary')"
        in_stage = databases["evaluation"].rows(query)
        if [name for name, _ in in_stage] != [opened] * bool(opened):
            yield f"the open release is {opened}, evaluation judges {in_stage}"
        desired = databases["serving"].rows("select epoch from routes where state = 'desired'")
        if desired:
            yield f"the routes {desired} are neither served nor refused"
        route = self._system.router.route
        if champion and route is not None and route.champion.release_id != champion:
            yield f"the champion is {champion} at epoch {epoch}, the router serves {route.champion.release_id}"

    def _answers(self) -> Iterator[str]:
        """No work is pending, and what training keeps has an obstacle that will end."""
        history = LoopHistory(LOOP, self._events())
        yield from history.state().open
        state = self._retrain_state()
        policy = self._system.definition.training
        for reason in state.kept:
            blocked = state.chain is not None or state.paused or state.consecutive_failures >= policy.breaker
            if not blocked and state.ended_ms is None:
                yield f"training keeps {reason.kind} {reason.event_id} without an obstacle"

    def _alarms(self) -> Iterator[str]:
        """The alarms are those of the windows in order, each once."""
        expected: set[str] = set()
        states: dict[str, DetectorState] = {}
        for event in self._decoded(WINDOW_CLOSED):
            for rule in detector_rules(self._system.definition):
                step = apply_window(rule, states.get(rule.name, DetectorState()), champion_window(event))
                states[rule.name] = step.state
                if step.alarm is not None:
                    expected.add(detector_messages.drift_detected(LOOP, step.alarm, event.data.end_ms).id)
        records = self._system.broker.records("monitoring.drift-detected.v1")
        raised = {dict(record.headers)["ce_id"].decode() for record in records}
        if raised != expected:
            yield f"{len(raised)} alarms were raised; the windows in order give {len(expected)}"

    def _dead_letters(self) -> Iterator[str]:
        for topic in self._system.groups["registry"].partitions + self._system.groups["training"].partitions:
            for record in self._system.broker.records(f"{topic.topic}.dlq"):
                yield f"{topic.topic} has a dead letter: {dict(record.headers).get('dlq-reason')!r}"

    def _retrain_state(self) -> RetrainState:
        rows = self._system.databases["training"].rows("select state from loops")
        return parse_state(rows[0][0]) if rows else RetrainState(LOOP)

    def _events(self) -> list[Any]:
        topics = {tp.topic for group in self._system.groups.values() for tp in group.partitions}
        topics |= {"monitoring.window-decided.v1", "training.run-started.v1", "training.run-failed.v1"}
        topics |= {"training.reason-coalesced.v1", "registry.approval-requested.v1", "registry.command-ignored.v1"}
        return distinct_events(event for topic in sorted(topics) for event in self._decoded(topic))

    def _decoded(self, topic: str) -> list[Any]:
        """Return the events of a topic, each decoded once."""
        decoded = self._events_of.setdefault(topic, [])
        decoded += [decode(record) for record in self._system.broker.records(topic)[len(decoded) :]]
        return decoded
