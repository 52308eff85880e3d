import threading
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine

from driftloop.bus.ports import Record
from driftloop.contracts import monitoring_pb2, registry_pb2, serving_pb2
from driftloop.events import ids
from driftloop.events.envelope import Envelope, from_record
from driftloop.process.errors import InvalidEvent
from driftloop.runner import outbox
from driftloop.runner.handler import Transaction
from driftloop.runner.tables import open_database
from services.serving.adapters import sql
from services.serving.domain.fleet import ALONE, Fleet
from services.serving.handlers import Handlers
from services.serving.route_deployer import RouteDeployer
from services.serving.route_reconciler import RouteReconciler
from tests.helpers.clock import FakeClock
from tests.unit.serving.fakes import FakeReleases, FakeRouterFiles, FakeTriton
from tests.unit.serving.harness import DEFINITION, LOOP, T0, route_changed


def release(name: str) -> registry_pb2.ReleaseRef:
    reference = registry_pb2.ReleaseRef(release_id=name)
    reference.bundle.uri, reference.bundle.digest = f"/bundles/{name}", f"digest-{name}"
    return reference


A, B, C = release("r-a"), release("r-b"), release("r-c")


@dataclass
class Agent:
    """The agent over fakes and a real database; `restart` keeps only what survives a killed process."""

    engine: Engine
    files: FakeRouterFiles = field(default_factory=FakeRouterFiles)
    releases: FakeReleases = field(default_factory=FakeReleases)
    clock: FakeClock = field(default_factory=lambda: FakeClock(tick_s=0.001))
    fleet: Fleet = ALONE

    def __post_init__(self) -> None:
        self.triton = FakeTriton(self.files)
        self.given_up: list[tuple[str, str, int]] = []
        self.handlers = Handlers(self.clock, lambda *writer: self.given_up.append(writer), self.fleet)
        self.open = True
        self.restart()

    def restart(self, loops: Sequence[str] = (LOOP,)) -> None:
        stop = threading.Event()
        deployer = RouteDeployer(
            {LOOP: DEFINITION},
            self.triton,
            self.releases,
            self.files,
            lambda _: T0,
            self.clock,
            stop,
            status_timeout_s=0.05,
        )
        self.reconciler = RouteReconciler(
            loops=loops,
            engine=self.engine,
            deployer=deployer,
            triton=self.triton,
            clock=self.clock,
            stop=stop,
            triton_timeout_s=60.0,
            may_answer=lambda _: self.open,
            fleet=self.fleet,
        )

    def request(self, event: Envelope[registry_pb2.RouteChanged]) -> None:
        with self.engine.begin() as connection:
            assert self.handlers.route_changed(event, Transaction(connection)) == []

    def request_and_step(self, *events: Envelope[registry_pb2.RouteChanged]) -> None:
        for event in events:
            self.request(event)
            self.reconciler.step()

    def sent(self) -> list[Envelope[Any]]:
        messages = [serving_pb2.RouteConverged, serving_pb2.RouteFailed, serving_pb2.RouteReported]
        records = [message.record for message in outbox.unsent(self.engine, 100)]
        return [from_record(Record(r.topic, 0, 0, r.key, r.value, r.headers), messages) for r in records]

    def sent_epochs(self) -> list[tuple[str, int]]:
        return [(type(event.data).__name__, event.data.epoch) for event in self.sent()]


@pytest.fixture
def agent(tmp_path: Path) -> Agent:
    return Agent(open_database(f"sqlite:///{tmp_path / 'serving.db'}", sql.metadata))


def test_the_first_champion_is_staged_loaded_and_probed(agent: Agent) -> None:
    agent.request_and_step(route_changed(1, A))
    (event,) = agent.sent()
    assert isinstance(event.data, serving_pb2.RouteConverged)
    assert (event.data.champion_release_id, event.data.probe_prediction_id) == ("r-a", "probe-parcels-1")
    assert (event.correlation_id, event.causation_id, event.time_ms) == ("chain-1", "route-1", T0)
    assert (agent.triton.loads, agent.triton.probes) == (1, ["probe-parcels-1"])
    assert agent.reconciler.ready()


def test_a_later_route_is_swapped_without_a_load(agent: Agent) -> None:
    agent.request_and_step(route_changed(1, A), route_changed(2, A, B, 0.1))
    assert agent.sent_epochs() == [("RouteConverged", 1), ("RouteConverged", 2)]
    assert agent.triton.loads == 1
    assert agent.sent()[1].data.challenger_release_id == "r-b"


def test_a_route_that_arrives_while_its_loop_is_left_out_is_served_once_it_is_back(agent: Agent) -> None:
    agent.restart(loops=())
    agent.request_and_step(route_changed(1, A))
    assert agent.sent() == []
    agent.restart()
    agent.reconciler.step()
    assert agent.sent_epochs() == [("RouteConverged", 1)]


def test_a_repeated_event_changes_nothing(agent: Agent) -> None:
    agent.request_and_step(route_changed(1, A), route_changed(2, B))
    agent.request_and_step(route_changed(1, A), route_changed(2, B))
    assert agent.sent_epochs() == [("RouteConverged", 1), ("RouteConverged", 2)]
    assert [route.epoch for route in agent.files.announced] == [1, 2]


def test_only_the_newest_of_waiting_routes_is_served(agent: Agent) -> None:
    agent.request(route_changed(1, A))
    agent.request(route_changed(2, B))
    agent.reconciler.step()
    agent.reconciler.step()
    assert agent.sent_epochs() == [("RouteConverged", 2)]


def test_a_bundle_with_another_digest_fails_its_route(agent: Agent) -> None:
    agent.releases.broken.add("r-b")
    agent.request_and_step(route_changed(1, A), route_changed(2, A, B, 0.1))
    failed = agent.sent()[1].data
    assert isinstance(failed, serving_pb2.RouteFailed)
    assert (failed.epoch, failed.release_id) == (2, "r-b")
    assert "sha256" in failed.reason
    assert agent.files.answering is not None
    assert agent.files.answering.epoch == 1


def test_a_release_refused_by_the_router_fails_its_route(agent: Agent) -> None:
    agent.files.broken["r-b"] = "the golden sample gives other scores here"
    agent.request_and_step(route_changed(1, A), route_changed(2, B))
    failed = agent.sent()[1].data
    assert (failed.release_id, failed.reason) == ("r-b", "the golden sample gives other scores here")
    assert [(route.epoch, route.withdraws) for route in agent.files.announced] == [(1, 0), (2, 0), (1, 2)]
    assert agent.reconciler.ready()


def test_a_probe_answered_by_another_release_withdraws_the_route(agent: Agent) -> None:
    agent.request_and_step(route_changed(1, A))
    agent.triton.wrong_answer = "r-a"
    agent.request_and_step(route_changed(2, B))
    assert agent.sent_epochs() == [("RouteConverged", 1), ("RouteFailed", 2)]
    assert agent.files.answering is not None
    assert (agent.files.answering.epoch, agent.files.answering.withdraws) == (1, 2)


def test_a_router_that_does_not_follow_fails_the_route(agent: Agent) -> None:
    agent.request_and_step(route_changed(1, A))
    agent.files.ignores_routes = True
    agent.request_and_step(route_changed(2, B))
    assert "did not serve" in agent.sent()[1].data.reason


def test_a_failed_first_champion_leaves_no_model(agent: Agent) -> None:
    agent.files.broken["r-a"] = "does not load"
    agent.request_and_step(route_changed(1, A))
    assert agent.sent_epochs() == [("RouteFailed", 1)]
    assert agent.files.current is None
    assert not agent.triton.loaded
    agent.request_and_step(route_changed(2, B))
    assert agent.sent_epochs()[1] == ("RouteConverged", 2)


def test_a_load_without_effect_is_repeated(agent: Agent) -> None:
    agent.triton.empty_loads = 1
    agent.request_and_step(route_changed(1, A))
    assert agent.sent_epochs() == [("RouteConverged", 1)]


def test_a_route_waits_while_triton_does_not_answer(agent: Agent) -> None:
    agent.triton.up = False
    agent.request_and_step(route_changed(1, A))
    assert agent.sent_epochs() == []
    assert not agent.reconciler.ready()
    agent.triton.up = True
    agent.clock.move(10)
    agent.reconciler.step()
    assert agent.sent_epochs() == [("RouteConverged", 1)]


def test_a_route_fails_if_triton_does_not_answer_in_time(agent: Agent) -> None:
    agent.triton.up = False
    agent.request_and_step(route_changed(1, A))
    agent.clock.move(61)
    agent.reconciler.step()
    assert agent.sent_epochs() == [("RouteFailed", 1)]


def test_after_triton_restarts_the_current_route_is_served_without_an_event(agent: Agent) -> None:
    agent.request_and_step(route_changed(1, A), route_changed(2, A, B, 0.1))
    agent.triton.crash()
    agent.clock.move(5)
    agent.reconciler.step()
    assert agent.files.answering is not None
    assert agent.files.answering.epoch == 2
    assert agent.triton.loads == 2
    assert len(agent.sent()) == 2


def test_a_restarted_agent_serves_the_current_route_without_a_second_event(agent: Agent) -> None:
    agent.request_and_step(route_changed(1, A))
    agent.restart()
    assert not agent.reconciler.ready()
    agent.reconciler.step()
    assert agent.reconciler.ready()
    assert agent.sent_epochs() == [("RouteConverged", 1)]


def test_an_agent_killed_before_deployment_deploys_after_restart(agent: Agent) -> None:
    agent.request(route_changed(1, A))
    agent.restart()
    agent.reconciler.step()
    assert agent.sent_epochs() == [("RouteConverged", 1)]


def test_after_a_failed_route_and_a_restart_the_previous_route_is_served(agent: Agent) -> None:
    agent.releases.broken.add("r-b")
    agent.request_and_step(route_changed(1, A), route_changed(2, B))
    agent.triton.crash()
    agent.restart()
    agent.reconciler.step()
    assert agent.files.answering is not None
    assert (agent.files.answering.epoch, agent.files.answering.withdraws) == (1, 2)


def test_a_bundle_of_another_loop_is_refused(agent: Agent) -> None:
    agent.releases.loop = "letters"
    agent.request_and_step(route_changed(1, A))
    assert "loop 'letters'" in agent.sent()[0].data.reason


def test_a_route_of_another_loop_is_ignored(agent: Agent) -> None:
    event = route_changed(1, A)
    event.data.loop = "letters"
    agent.request_and_step(event)
    assert agent.files.announced == []


@pytest.mark.parametrize("name", ["", "../evil", ".hidden", "a/b"])
def test_an_invalid_release_id_is_a_dead_letter(agent: Agent, name: str) -> None:
    with pytest.raises(InvalidEvent, match="impossible-route"):
        agent.request(route_changed(1, release(name)))


def test_a_route_waits_until_the_agent_is_an_open_writer(agent: Agent) -> None:
    agent.open = False
    agent.request_and_step(route_changed(1, A))
    assert (agent.sent(), agent.triton.loads, agent.reconciler.ready()) == ([], 0, False)
    agent.open = True
    agent.reconciler.step()
    assert agent.sent_epochs() == [("RouteConverged", 1)]


def test_a_router_that_answers_when_the_agent_starts_continues(agent: Agent) -> None:
    agent.request_and_step(route_changed(1, A))
    agent.open = False
    agent.restart()
    agent.reconciler.step()
    assert (agent.triton.loaded, agent.reconciler.ready()) == (True, False)


def test_a_router_stops_to_answer_while_its_agent_is_given_up(agent: Agent) -> None:
    agent.request_and_step(route_changed(1, A))
    agent.open = False
    agent.reconciler.step()
    assert (agent.triton.loaded, agent.reconciler.ready()) == (False, False)
    agent.open = True
    agent.reconciler.step()
    assert (agent.triton.loaded, agent.reconciler.ready()) == (True, True)
    assert agent.sent_epochs() == [("RouteConverged", 1)]


def test_the_agent_learns_that_it_was_given_up(agent: Agent) -> None:
    data = monitoring_pb2.WriterGivenUp(loop=LOOP, writer="two", start=3)
    event = Envelope("given-up", "/m", data.DESCRIPTOR.full_name, LOOP, T0, T0, "c", None, None, data)
    with agent.engine.begin() as connection:
        assert agent.handlers.writer_given_up(event, Transaction(connection)) == []
    assert agent.given_up == [(LOOP, "two", 3)]


class TwoAgents:
    """Two agents that read each other's reports in the same order."""

    def __init__(self, folder: Path, needed: int) -> None:
        self.agents = [
            Agent(
                open_database(f"sqlite:///{folder / f'{name}.db'}", sql.metadata),
                fleet=Fleet(tritons=2, needed=needed, triton=name),
            )
            for name in ("", "two")
        ]
        self._read: list[str] = []

    def request_and_step(self, event: Envelope[registry_pb2.RouteChanged]) -> None:
        for agent in self.agents:
            agent.request(event)
        self.step()

    def step(self) -> None:
        """Let both agents work until they send nothing more."""
        for agent in self.agents:
            agent.reconciler.step()
        while fresh := [event for event in self.sent(serving_pb2.RouteReported) if event.id not in self._read]:
            self._read += [event.id for event in fresh]
            for event in fresh:
                for agent in self.agents:
                    with agent.engine.begin() as connection:
                        drafts = agent.handlers.route_reported(event, Transaction(connection))
                        outbox.put(connection, drafts, source="serving", wall_time_ms=0, cause=event)
        for agent in self.agents:
            agent.clock.move(2.0)
            agent.reconciler.step()

    def sent(self, *kinds: type[Any]) -> list[Envelope[Any]]:
        return [event for agent in self.agents for event in agent.sent() if isinstance(event.data, kinds)]

    def decided(self) -> dict[str, Any]:
        """Return what was decided, by event id. Both agents send the same."""
        kinds = (serving_pb2.RouteConverged, serving_pb2.RouteFailed)
        for agent in self.agents:
            own = [event for event in agent.sent() if isinstance(event.data, kinds)]
            assert [(event.id, event.data) for event in own] == [
                (event.id, event.data) for event in self.agents[0].sent() if isinstance(event.data, kinds)
            ]
        return {event.id: event.data for event in self.sent(*kinds)}


def test_a_route_counts_as_served_once_all_tritons_serve_it(tmp_path: Path) -> None:
    two = TwoAgents(tmp_path, needed=2)
    two.agents[1].triton.up = False
    two.request_and_step(route_changed(1, A))
    assert (len(two.sent(serving_pb2.RouteReported)), two.decided()) == (1, {})
    two.agents[1].triton.up = True
    two.step()
    [(identity, data)] = two.decided().items()
    assert identity == ids.event_id("route-converged", LOOP, 1)
    assert isinstance(data, serving_pb2.RouteConverged)
    assert (data.epoch, data.champion_release_id, data.probe_prediction_id) == (1, "r-a", "probe-parcels-1")
    [event, _] = two.sent(serving_pb2.RouteConverged)
    assert (event.correlation_id, event.time_ms) == ("chain-1", T0)


def test_a_route_that_not_enough_tritons_can_serve_fails_once(tmp_path: Path) -> None:
    two = TwoAgents(tmp_path, needed=2)
    two.request_and_step(route_changed(1, A))
    two.agents[1].files.broken["r-b"] = "no such file"
    two.request_and_step(route_changed(2, A, B, 0.1))
    [data] = [data for data in two.decided().values() if data.epoch == 2]
    assert data == serving_pb2.RouteFailed(loop=LOOP, epoch=2, release_id="r-b", reason="no such file")


def test_one_sick_triton_does_not_end_a_release_and_is_not_ready_until_it_serves_it(tmp_path: Path) -> None:
    two = TwoAgents(tmp_path, needed=1)
    two.request_and_step(route_changed(1, A))
    two.agents[1].files.broken["r-b"] = "no such file"
    two.request_and_step(route_changed(2, A, B, 0.1))
    assert [type(data).__name__ for data in two.decided().values()] == ["RouteConverged", "RouteConverged"]
    assert [agent.reconciler.ready() for agent in two.agents] == [True, False]
    assert two.agents[1].files.answering is not None
    assert two.agents[1].files.answering.epoch == 1
    two.agents[1].files.broken.clear()
    for _ in range(40):
        two.step()
    assert [agent.reconciler.ready() for agent in two.agents] == [True, True]
    assert two.agents[1].files.answering.epoch == 2
    assert len(two.sent(serving_pb2.RouteReported)) == 4


def test_a_triton_is_sick_no_longer_once_it_serves_a_newer_route(tmp_path: Path) -> None:
    two = TwoAgents(tmp_path, needed=1)
    two.agents[1].files.broken["r-b"] = "no such file"
    two.request_and_step(route_changed(1, A))
    two.request_and_step(route_changed(2, A, B, 0.1))
    two.request_and_step(route_changed(3, A))
    assert [agent.reconciler.ready() for agent in two.agents] == [True, True]
