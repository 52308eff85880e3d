"""Handlers without a safeguard of the runner or of a service."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from sqlalchemy import Engine

from driftloop.contracts import registry_pb2 as registry
from driftloop.events.envelope import Draft, Envelope
from driftloop.runner import outbox
from driftloop.runner.handler import Handler, HandlerTable, Transaction
from tests.simulation.scheduler import Scheduler


class LateOutbox:
    """Writes a handler's events to the outbox in a transaction of their own, after that of the state."""

    def __init__(self, service: str, engine: Engine, scheduler: Scheduler) -> None:
        self._service = service
        self._engine = engine
        self._scheduler = scheduler
        self._late: list[tuple[Sequence[Draft], Envelope[Any]]] = []

    def wrap(self, handlers: HandlerTable) -> HandlerTable:
        """Return handlers whose events wait for `run`."""
        return {message: self._wrapped(handler) for message, handler in handlers.items()}

    async def run(self) -> None:
        """Write waiting events, one handler's at a time."""
        while True:
            await self._scheduler.gate("late outbox", self._put, lambda: bool(self._late))

    def _wrapped(self, handler: Handler) -> Handler:
        def handle(event: Envelope[Any], tx: Transaction) -> Sequence[Draft]:
            drafts = handler(event, tx)
            if drafts:
                self._late.append((drafts, event))
            return []

        return handle

    def _put(self) -> None:
        drafts, cause = self._late.pop(0)
        with self._engine.begin() as connection:
            now_ms = self._scheduler.now_ms()
            outbox.put(connection, drafts, source=self._service, wall_time_ms=now_ms, cause=cause)


def without_epochs(handlers: HandlerTable) -> HandlerTable:
    """Return handlers that see no epoch in the events about champions, as if the order of arrival were right."""

    def hide(handler: Handler) -> Handler:
        def handle(event: Envelope[Any], tx: Transaction) -> Sequence[Draft]:
            data = type(event.data)()
            data.CopyFrom(event.data)
            data.epoch = 0
            return handler(replace(event, data=data), tx)

        return handle

    hidden = {registry.StageEntered, registry.ChampionPromoted}
    return {message: hide(handler) if message in hidden else handler for message, handler in handlers.items()}
