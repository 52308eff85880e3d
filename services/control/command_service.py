"""Turns user commands into events. Idempotent per request id, whichever API was used."""

from __future__ import annotations

import uuid

from sqlalchemy import Engine

from driftloop.contracts import control_api_pb2 as api
from driftloop.process import log
from driftloop.process.clock import Clock
from driftloop.runner import outbox
from services.control import messages, metrics
from services.control.adapters.reader import NAME
from services.control.domain.commands import Command, Missing, draft
from services.control.views import Views


class CommandService:
    """Writes commands to the outbox as events."""

    def __init__(self, views: Views, engine: Engine, clock: Clock) -> None:
        self._views = views
        self._engine = engine
        self._clock = clock

    def submit(self, name: str, request: api.CommandRequest) -> api.CommandAccepted:
        """Write a command to the outbox, once per request id.

        Raises:
            Missing: loop, who, why or the release is missing, or too long.
            NotThere: there is no such loop or release.
            Impossible: the loop cannot follow the command now.
        """
        answer = "refused"
        try:
            if not request.loop:
                raise Missing("name a loop")
            request_id = request.request_id or str(uuid.uuid4())
            model = request.model if request.HasField("model") else None
            command = Command(name, request.loop, request.who, request.why, request_id, request.release_id, model)
            accepted = self._write(command)
            answer = "accepted"
            return accepted
        finally:
            metrics.COMMANDS.add(command=name, answer=answer)

    def _write(self, command: Command) -> api.CommandAccepted:
        position = self._views.store.position()
        if (before := outbox.find(self._engine, command.event_id)) is not None:
            return _accepted(before.id, before.correlation_id, before.time_ms, position, repeated=True)
        if command.release_id:
            self._views.release(command.release_id)
        event = draft(command, self._views.state(command.loop))
        log.get(__name__).info("command", command=command.name, about=command.loop, who=command.who, event_id=event.id)
        with self._engine.begin() as connection:
            new = outbox.put(connection, [event], source=NAME, wall_time_ms=self._clock.now_ms(), cause=None)
        return _accepted(event.id, event.chain or event.id, event.time_ms, position, repeated=not new)


def _accepted(event_id: str, chain: str, time_ms: int, position: int, *, repeated: bool) -> api.CommandAccepted:
    return api.CommandAccepted(
        event_id=event_id,
        correlation_id=chain,
        time=messages.moment(time_ms),
        repeated_call=repeated,
        position=position,
    )
