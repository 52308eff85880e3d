"""Apply a closed window to the detectors of its loop.

One transaction writes the events to the outbox and the new states to the database. Only then does the Faust table
change. If the process is killed between the two, the window arrives again and changes nothing. If the table lost a
change, the states in the database replace it.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, MutableMapping, Sequence
from typing import Any

from sqlalchemy import Connection, Engine

from driftloop.bus.dead_letters import dead_letter_for_error
from driftloop.bus.ports import Outgoing, Record
from driftloop.contracts.monitoring_pb2 import WindowClosed
from driftloop.drift.detectors import DetectorRule, DetectorStep, apply_window
from driftloop.drift.windows import champion_window
from driftloop.events.envelope import Draft, Envelope, from_record
from driftloop.events.window_decided import window_decided
from driftloop.process.clock import Clock
from driftloop.process.errors import InvalidEvent, Retriable
from driftloop.runner import outbox
from services.monitoring import metrics
from services.monitoring.detectors import messages, state


class Detectors:
    """The detectors of all watched loops."""

    def __init__(self, rules: Mapping[str, Sequence[DetectorRule]], engine: Engine, clock: Clock, source: str) -> None:
        self._rules = rules
        self._engine = engine
        self._clock = clock
        self._source = source
        self._shown: dict[tuple[str, str], str] = {}
        self._saved = state.load(engine)

    def handle(self, record: Record, table: MutableMapping[str, str]) -> list[Outgoing]:
        """Apply the window in a record; return the dead letter of a record that cannot be read. Raises like `steps`."""
        try:
            event = self.read(record)
            if event is not None:
                self.decide(event, table)
        except InvalidEvent as error:
            metrics.DETECTORS_DEAD_LETTERED.add(reason=error.reason)
            return [dead_letter_for_error(record, error, self._source)]
        return []

    def read(self, record: Record) -> Envelope[WindowClosed] | None:
        """Return the window in a record, or None if its loop is not watched here.

        Raises:
            InvalidEvent: the record can never be read.
        """
        event: Envelope[Any] = from_record(record, [WindowClosed])
        return event if event.data.loop in self._rules else None

    def decide(self, event: Envelope[WindowClosed], table: MutableMapping[str, str]) -> None:
        """Apply a window: write its events to the outbox, then the new states to the table. Raises like `steps`."""
        steps = self.steps(event, table)
        self.publish(event, steps)
        self.apply(event, steps, table)

    def steps(self, event: Envelope[WindowClosed], table: Mapping[str, str]) -> dict[str, DetectorStep]:
        """Return the step of each detector, by its key in the table.

        Raises:
            Retriable: an earlier window is missing. If it is still missing after a restart, this window is applied
            anyway.
        """
        data, window = event.data, champion_window(event)
        rules = {state.table_key(data.loop, rule.name): rule for rule in self._rules[data.loop]}
        before = {key: state.newer(table.get(key), self._saved.get(key)) for key in rules}
        seen_ms = max((old.end_ms for old in before.values()), default=0)
        if 0 < seen_ms < data.start_ms and state.is_new_gap(self._engine, data.loop, data.window_id):
            raise Retriable(f"{data.window_id} of {data.loop} came before the window that ends where it starts")
        return {key: apply_window(rule, before[key], window) for key, rule in rules.items()}

    def publish(self, event: Envelope[WindowClosed], steps: Mapping[str, DetectorStep]) -> None:
        """Write the alarms, then the decision on the window, to the outbox; in the same transaction save the states.

        Events that are already in the outbox are not repeated.
        """
        window = event.data
        alarms = [result.alarm for result in steps.values() if result.alarm is not None]
        opened = [messages.drift_detected(window.loop, alarm, window.end_ms) for alarm in alarms]
        rules = self._rules[window.loop]
        silent = messages.silent_detectors((rule, steps[state.table_key(window.loop, rule.name)]) for rule in rules)
        with self._engine.begin() as connection:
            new = {
                alarm.rule.name: self._put(connection, draft, None) for alarm, draft in zip(alarms, opened, strict=True)
            }
            self._put(connection, window_decided("detectors", window, opened, silent), event)
            changed = {key: state.to_text(result.state) for key, result in steps.items()}
            if changed:
                state.save(connection, changed)
        self._saved |= changed
        for rule in rules:
            metrics.ALARMS.add(new.get(rule.name, 0), loop=window.loop, detector=rule.name, mode=rule.mode)

    def apply(
        self, event: Envelope[WindowClosed], steps: Mapping[str, DetectorStep], table: MutableMapping[str, str]
    ) -> None:
        """Change the table and set the metrics."""
        loop = event.data.loop
        for key, result in steps.items():
            table[key] = state.to_text(result.state)
        for rule in self._rules[loop]:
            self._show(loop, rule, steps[state.table_key(loop, rule.name)])
        metrics.WINDOWS_DECIDED.add(loop=loop)

    def _put(self, connection: Connection, draft: Draft, cause: Envelope[Any] | None) -> int:
        now_ms = self._clock.now_ms()
        return outbox.put(connection, [draft], source=self._source, wall_time_ms=now_ms, cause=cause)

    def _show(self, loop: str, rule: DetectorRule, result: DetectorStep) -> None:
        release = result.state.release
        metrics.THRESHOLD.set(rule.threshold, loop=loop, detector=rule.name)
        metrics.SKIPPED.set(result.state.skipped, loop=loop, detector=rule.name)
        metrics.EPISODE_OPEN.set(bool(result.state.episode), loop=loop, detector=rule.name)
        before = self._shown.get((loop, rule.name), release)
        if before and before != release:
            metrics.STATISTIC.set(math.nan, loop=loop, detector=rule.name, release=before)
        if release and result.reading is not None:
            metrics.STATISTIC.set(result.reading.statistic, loop=loop, detector=rule.name, release=release)
        self._shown[loop, rule.name] = release
