"""The gRPC API: each call reads the read model, or submits a command."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from functools import partial
from typing import Any, NoReturn, TypeVar

import grpc

from driftloop.contracts import control_api_pb2 as api
from driftloop.contracts import control_api_pb2_grpc as calls
from driftloop.contracts.message_json import STATUS_TRAILER
from driftloop.process.clock import Clock
from driftloop.process.errors import Retriable
from services.control import messages, metrics
from services.control.adapters.reader import Reader
from services.control.command_service import CommandService
from services.control.domain.commands import Impossible, Missing
from services.control.feed import Feed
from services.control.ports import Stored
from services.control.views import NotThere, Views

T = TypeVar("T")
Context = Any
"""`grpc.aio.ServicerContext`"""
_CODES: dict[type[Exception], grpc.StatusCode] = {
    Missing: grpc.StatusCode.INVALID_ARGUMENT,
    NotThere: grpc.StatusCode.NOT_FOUND,
    Impossible: grpc.StatusCode.FAILED_PRECONDITION,
    Retriable: grpc.StatusCode.UNAVAILABLE,
}
_BATCH = 500
_MAX_WAIT_S = 300.0


def _submit(name: str) -> Any:
    async def submit(self: ControlApi, request: api.CommandRequest, context: Context) -> api.CommandAccepted:
        return await self._answer(name.capitalize(), context, lambda: self._commands.submit(name, request))

    return submit


class ControlApi(calls.ControlServicer):
    """`driftloop.control.v1.Control`."""

    def __init__(
        self,
        views: Views,
        reader: Reader,
        commands: CommandService,
        feed: Feed,
        clock: Clock,
        streams: int,
        wait_s: float,
    ) -> None:
        self._views = views
        self._reader = reader
        self._commands = commands
        self._feed = feed
        self._clock = clock
        self._max_streams = streams
        self._wait_s = wait_s
        self.open_streams = 0
        """Number of timelines that clients follow."""

    async def ListLoops(self, request: api.ListLoopsRequest, context: Context) -> api.ListLoopsResponse:

        def work() -> api.ListLoopsResponse:
            names = self._views.loops(request.loop)
            return api.ListLoopsResponse(
                loops=[messages.loop(self._views.state(name), self._views.description(name)) for name in names]
            )

        return await self._answer("ListLoops", context, work)

    async def ListReleases(self, request: api.ListReleasesRequest, context: Context) -> api.ListReleasesResponse:

        def work() -> api.ListReleasesResponse:
            return api.ListReleasesResponse(
                releases=[messages.release(release) for release in self._views.releases(request.loop)]
            )

        return await self._answer("ListReleases", context, work)

    async def GetRelease(self, request: api.GetReleaseRequest, context: Context) -> api.Release:
        return await self._answer(
            "GetRelease", context, lambda: messages.release(self._views.release(request.release_id))
        )

    async def ListApprovals(self, request: api.ListApprovalsRequest, context: Context) -> api.ListApprovalsResponse:

        def work() -> api.ListApprovalsResponse:
            states = [self._views.state(name) for name in self._views.loops(request.loop)]
            waiting = [messages.approval(state.loop, state.waiting) for state in states if state.waiting is not None]
            return api.ListApprovalsResponse(approvals=waiting)

        return await self._answer("ListApprovals", context, work)

    async def ListWindows(self, request: api.ListWindowsRequest, context: Context) -> api.ListWindowsResponse:

        def work() -> api.ListWindowsResponse:
            if not request.loop:
                raise Missing("name a loop")
            windows = self._views.windows(request.loop, max(0, request.newest))
            return api.ListWindowsResponse(windows=[messages.window(window) for window in windows])

        return await self._answer("ListWindows", context, work)

    async def GetEvent(self, request: api.GetEventRequest, context: Context) -> api.Event:
        return await self._answer(
            "GetEvent", context, lambda: messages.event(self._views.event(request.event_id), payload=True)
        )

    async def GetLineage(self, request: api.GetLineageRequest, context: Context) -> api.Lineage:
        """Return everything that led to a prediction, release, run or event."""

        def work() -> api.Lineage:
            if not request.id:
                raise Missing("name a prediction, release, run, event or loop")
            nodes = self._views.lineage(request.id, min(self._wait_s, _left_s(context)))
            return api.Lineage(id=request.id, nodes=[messages.node(node) for node in nodes])

        return await self._answer("GetLineage", context, work)

    async def ListHistory(self, request: api.ListHistoryRequest, context: Context) -> api.ListHistoryResponse:

        def work() -> api.ListHistoryResponse:
            at_ms = request.at.ToMilliseconds() if request.HasField("at") else None
            periods = self._views.history(request.loop, at_ms)
            return api.ListHistoryResponse(serving_periods=[messages.serving_period(period) for period in periods])

        return await self._answer("ListHistory", context, work)

    async def StreamTimeline(self, request: api.StreamTimelineRequest, context: Context) -> AsyncIterator[api.Event]:
        """Stream past events and, if requested, new ones."""
        await self._ready("StreamTimeline", context)
        if request.follow and self.open_streams >= self._max_streams:
            metrics.CALLS.add(method="StreamTimeline", code=grpc.StatusCode.RESOURCE_EXHAUSTED.name)
            await context.abort(
                grpc.StatusCode.RESOURCE_EXHAUSTED,
                f"the limit of {self.open_streams} followed timelines is reached; close one",
            )
        woken = self._feed.follow()
        self.open_streams += 1
        metrics.STREAMS.set(self.open_streams)
        try:
            async for stored in self._events(request, context, woken):
                if request.all or messages.is_news(stored):
                    yield messages.event(stored, payload=request.payload)
            metrics.CALLS.add(method="StreamTimeline", code=grpc.StatusCode.OK.name)
        finally:
            self._feed.leave(woken)
            self.open_streams -= 1
            metrics.STREAMS.set(self.open_streams)

    async def _events(
        self, request: api.StreamTimelineRequest, context: Context, woken: asyncio.Event
    ) -> AsyncIterator[Stored]:
        """Yield existing events in order, then new ones if the request follows."""
        last = request.after
        if not request.after:
            past = await self._run("StreamTimeline", context, lambda: self._before(request))
            last = max((stored.position for stored in past), default=0)
            for stored in past[-request.newest :] if request.newest else past:
                yield stored
        while True:
            woken.clear()
            new = await self._run("StreamTimeline", context, partial(self._after, request, last))
            for stored in new:
                last = stored.position
                yield stored
            if not new:
                if not request.follow:
                    return
                await woken.wait()

    def _before(self, request: api.StreamTimelineRequest) -> list[Stored]:
        timeline = self._views.timeline(request.loop, request.correlation_id)
        return timeline if request.all else [stored for stored in timeline if messages.is_news(stored)]

    def _after(self, request: api.StreamTimelineRequest, position: int) -> list[Stored]:
        return self._views.store.after(position, loop=request.loop, correlation_id=request.correlation_id, limit=_BATCH)

    Retrain = _submit("retrain")
    Approve = _submit("approve")
    Reject = _submit("reject")
    Rollback = _submit("rollback")
    Pause = _submit("pause")
    Resume = _submit("resume")
    Import = _submit("import")

    async def Rebuild(self, _request: api.RebuildRequest, context: Context) -> api.RebuildResponse:

        def work() -> api.RebuildResponse:
            began = self._clock.monotonic_s()
            events = self._reader.rebuild(min(_MAX_WAIT_S, _left_s(context)))
            return api.RebuildResponse(events=events, duration_s=self._clock.monotonic_s() - began)

        return await self._answer("Rebuild", context, work)

    async def _answer(self, method: str, context: Context, work: Callable[[], T]) -> T:
        await self._ready(method, context)
        began = self._clock.monotonic_s()
        answer = await self._run(method, context, work)
        metrics.CALLS.add(method=method, code=grpc.StatusCode.OK.name)
        metrics.CALL_SECONDS.record(self._clock.monotonic_s() - began, method=method)
        return answer

    async def _run(self, method: str, context: Context, work: Callable[[], T]) -> T:
        try:
            return await asyncio.to_thread(work)
        except tuple(_CODES) as error:
            await self._refuse(method, context, _CODES[type(error)], str(error))

    async def _ready(self, method: str, context: Context) -> None:
        if method != "Rebuild" and not self._reader.caught_up():
            text = f"the read model is being built, {self._views.store.count():,} events so far; try again"
            await self._refuse(method, context, grpc.StatusCode.UNAVAILABLE, text)

    async def _refuse(self, method: str, context: Context, code: grpc.StatusCode, text: str) -> NoReturn:
        metrics.CALLS.add(method=method, code=code.name)
        await context.abort(code, text, trailing_metadata=((STATUS_TRAILER, code.name.lower()),))
        raise AssertionError("abort raises")


def _left_s(context: Context) -> float:
    """Return the seconds until the caller's deadline."""
    left: float | None = context.time_remaining()
    return _MAX_WAIT_S if left is None else max(0.0, left)
