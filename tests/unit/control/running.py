"""The complete control service on the harness."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from sqlalchemy import select

from driftloop.contracts import control_api_pb2 as api
from driftloop.contracts import registry_pb2 as registry
from driftloop.ops.control_client import ControlClient
from driftloop.runner.relay import Relay
from driftloop.runner.tables import outbox
from services.control.api import ControlApi
from services.control.command_service import CommandService
from services.control.feed import Feed
from services.control.service import ControlService
from services.control.web.answers import Answers
from services.control.web.plans import Plan
from services.control.web.server import WebServer
from services.control.web.stream import Streams
from tests.helpers.clock import FakeClock
from tests.helpers.event_log import DAY_MS, EventLog
from tests.helpers.eventually import assert_eventually
from tests.unit.control.harness import Harness


class Running:
    """The service on a thread, with a client."""

    def __init__(
        self,
        harness: Harness,
        log: EventLog,
        *,
        port: int = 0,
        plans: Mapping[str, Plan] = MappingProxyType({}),
        pages: int = 2,
        beat_s: float = 0.1,
    ) -> None:
        self.harness, self.log = harness, log
        self.hide_read_model = False
        feed, clock = Feed(), FakeClock()
        producer = harness.broker.lifecycle_producer()
        commands = CommandService(harness.views, harness.engine, clock)
        self.reader = harness.reader(wake=feed.wake)
        streams = Streams(harness.store, feed, pages, beat_s)
        answers = Answers(harness.views, plans)
        self.page = WebServer(answers, commands, streams, self._caught_up, "127.0.0.1", port, ["driftloop.test"])
        self.api = ControlApi(harness.views, self.reader, commands, feed, clock, 2, 0.2)
        self.service = ControlService(
            servicer=self.api,
            reader=self.reader,
            followers=[harness.index.run],
            relay=Relay("control", harness.engine, producer, clock),
            producer=producer,
            feed=feed,
            address="127.0.0.1:0",
            page=self.page,
            stop=harness.stop,
        )
        self.thread = threading.Thread(target=lambda: asyncio.run(self.service.run()))
        self.thread.start()
        assert_eventually(self.service.ready)
        self.address = f"127.0.0.1:{self.service.port}"
        self.client = ControlClient(self.address)
        self.web = f"http://127.0.0.1:{self.page.port}"

    def _caught_up(self) -> bool:
        return self.reader.caught_up() and not self.hide_read_model

    def end(self) -> None:
        """Stop the service."""
        self.client.close()
        self.harness.stop.set()
        self.thread.join(20)
        assert not self.thread.is_alive()

    def commands(self) -> list[Any]:
        """Return the command events that the service published."""
        with self.harness.engine.connect() as connection:
            return list(connection.execute(select(outbox)).all())

    def waits(self) -> None:
        """Let r-2 wait for approval."""
        asked = registry.ApprovalRequested(release_id="r-2", to_stage="canary", deadline_ms=99 * DAY_MS)
        self.harness.publish([self.log.add("asked", asked, "drift", "shadow verdict 2")])
        assert_eventually(lambda: self.client.call("ListApprovals", api.ListApprovalsRequest()).approvals)
