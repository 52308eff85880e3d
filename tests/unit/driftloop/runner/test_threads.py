from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from driftloop.runner.threads import ServiceWithWorkers
from tests.helpers.eventually import assert_eventually_async
from tests.unit.driftloop.runner.harness import Harness

TIMEOUT_S = 10.0


def fail() -> None:
    raise RuntimeError("broken worker")


async def run(harness: Harness, *workers: str) -> None:
    service = harness.service()
    bodies = {"waits": lambda: None if harness.stop.wait(TIMEOUT_S) else fail(), "fails": fail, "ends": lambda: None}
    await asyncio.wait_for(
        ServiceWithWorkers(service, [bodies[name] for name in workers], harness.stop).run(), TIMEOUT_S
    )


async def test_a_worker_that_fails_stops_the_service_and_the_other_workers(tmp_path: Path) -> None:
    harness = Harness(tmp_path)
    with pytest.raises(RuntimeError, match="broken worker"):
        await run(harness, "waits", "fails")
    assert harness.stop.is_set()


async def test_it_is_ready_only_if_its_workers_are(tmp_path: Path) -> None:
    harness, workers_ready = Harness(tmp_path), [False]
    lifecycle = harness.service()
    service = ServiceWithWorkers(
        lifecycle, [lambda: None if harness.stop.wait(TIMEOUT_S) else fail()], harness.stop, lambda: workers_ready[-1]
    )
    running = asyncio.create_task(service.run())
    await assert_eventually_async(lambda: asyncio.to_thread(lifecycle.ready), TIMEOUT_S)
    assert not service.ready()
    workers_ready.append(True)
    assert service.ready()
    harness.stop.set()
    await running


async def test_a_worker_that_ends_stops_the_service(tmp_path: Path) -> None:
    harness = Harness(tmp_path)
    await run(harness, "waits", "ends")
    assert harness.stop.is_set()
