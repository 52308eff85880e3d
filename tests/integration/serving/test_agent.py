"""The agent with a real Triton and a bus in memory."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from driftloop.contracts import predictions_pb2, serving_pb2
from driftloop.events.envelope import from_record
from tests.integration.serving.conftest import CONVERGED, FAILED, World, eventually, inputs
from tests.unit.serving.harness import LOOP, T0, route_changed, write_release

pytestmark = [pytest.mark.integration, pytest.mark.triton]


@asynccontextmanager
async def running(world: World) -> AsyncIterator[None]:
    """Run the agent during the block; raise the error that ends it early."""
    world.stop.clear()
    task = asyncio.create_task(world.agent().run())
    try:
        yield
    finally:
        world.stop.set()
        await task


def ask(world: World, key: str) -> str:
    result = world.client.infer(LOOP, inputs([key]), request_id=f"id-{key}", client_timeout=60)
    return str(result.as_numpy("release_id")[0, 0].decode())


async def converged(world: World, *epochs: int) -> None:
    await eventually(lambda: world.epochs(CONVERGED) == list(epochs))


async def test_a_route_converges_and_its_predictions_reach_the_log_before_the_watermark(world: World) -> None:
    async with running(world):
        world.publish(route_changed(1, world.a))
        await converged(world, 1)
        for n in range(20):
            await asyncio.to_thread(ask, world, f"p{n}")
        world.advance(T0 + 1)
        await eventually(lambda: len(world.log()) == 23)
    messages = [predictions_pb2.PredictionServed, predictions_pb2.PredictionWatermark]
    ids = set()
    for partition in (0, 1):
        events = [from_record(r, messages) for r in world.log() if r.partition == partition]
        assert isinstance(events[-1].data, predictions_pb2.PredictionWatermark)
        ids |= {event.id.split(".")[0] for event in events[:-1]}
    assert ids == {"probe-parcels-1", *(f"id-p{n}" for n in range(20))}
    await eventually(lambda: world.inference_count() >= len(ids))
    assert world.inference_count() == len(ids)


async def test_a_failed_route_names_its_release_and_the_previous_route_answers(world: World, tmp_path: Path) -> None:
    broken = write_release(tmp_path, "r-broken", 5.0, error=0.01)
    async with running(world):
        world.publish(route_changed(1, world.a))
        await converged(world, 1)
        world.publish(route_changed(2, world.a, broken, 0.5))
        await eventually(lambda: world.epochs(FAILED) == [2])
        assert {await asyncio.to_thread(ask, world, f"p{n}") for n in range(20)} == {"r-a"}
        world.publish(route_changed(3, world.b))
        await converged(world, 1, 3)
        assert await asyncio.to_thread(ask, world, "q") == "r-b"
    failed = from_record(world.broker.records(FAILED)[0], [serving_pb2.RouteFailed])
    assert (failed.data.release_id, failed.causation_id, failed.correlation_id) == ("r-broken", "route-2", "chain-1")  # type: ignore[attr-defined]
    assert "golden" in failed.data.reason  # type: ignore[attr-defined]


async def test_after_a_failed_first_champion_the_next_one_is_served(world: World, tmp_path: Path) -> None:
    broken = write_release(tmp_path, "r-broken", 5.0, error=0.01)
    async with running(world):
        world.publish(route_changed(1, broken))
        await eventually(lambda: world.epochs(FAILED) == [1])
        assert not world.client.is_model_ready(LOOP)
        world.publish(route_changed(2, world.b))
        await converged(world, 2)
        assert await asyncio.to_thread(ask, world, "q") == "r-b"


async def test_after_triton_is_killed_the_route_is_restored_without_loss_or_second_event(world: World) -> None:
    async with running(world):
        world.publish(route_changed(1, world.a, world.b, 0.5))
        await converged(world, 1)
        before = [await asyncio.to_thread(ask, world, f"p{n}") for n in range(20)]
        await asyncio.to_thread(world.triton.kill)
        await asyncio.to_thread(world.triton.start)
        await eventually(lambda: world.client.is_model_ready(LOOP))
        assert [await asyncio.to_thread(ask, world, f"p{n}") for n in range(20)] == before
        await eventually(lambda: len(world.log()) >= 42)
    assert world.epochs(CONVERGED) == [1]
    ids = [from_record(r, [predictions_pb2.PredictionServed]).id.split(".")[0] for r in world.log()]
    assert set(ids) == {"probe-parcels-1", *(f"id-p{n}" for n in range(20))}


async def test_a_restarted_agent_resumes(world: World) -> None:
    async with running(world):
        world.publish(route_changed(1, world.a))
        await converged(world, 1)
    await asyncio.to_thread(ask, world, "while-away")
    async with running(world):
        world.publish(route_changed(2, world.b))
        await converged(world, 1, 2)
        await eventually(lambda: len(world.log()) >= 3)
    ids = {from_record(r, [predictions_pb2.PredictionServed]).id.split(".")[0] for r in world.log()}
    assert ids == {"probe-parcels-1", "probe-parcels-2", "id-while-away"}
