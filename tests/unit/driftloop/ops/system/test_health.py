from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor

import grpc

from driftloop.bus.kafka_settings import KafkaSettings
from driftloop.ops.system.health import is_standby, pss_mib, ready
from driftloop.ops.system.part import Part
from driftloop.process.health import HealthServer
from tests.helpers.ports import free_ports

NO_KAFKA = KafkaSettings("")


def _part(url: str) -> Part:
    return Part("tested", ("/bin/true",), health_url=url)


def test_a_part_is_ready_when_its_address_answers_200() -> None:
    answers = [False]
    with HealthServer("127.0.0.1", 0, lambda: answers[0]) as server:
        part = _part(f"http://127.0.0.1:{server.port}/ready")
        assert not ready(part, NO_KAFKA)
        answers[0] = True
        assert ready(part, NO_KAFKA, timeout_s=60.0)


def test_a_standby_is_ready_and_says_so() -> None:
    roles = ["standby", "leader"]
    with HealthServer("127.0.0.1", 0, lambda: True, lambda: {"role": roles.pop(0)}) as server:
        part = _part(f"http://127.0.0.1:{server.port}/ready")
        assert [is_standby(part, timeout_s=60.0) for _ in range(2)] == [True, False]
    with HealthServer("127.0.0.1", 0, lambda: False, lambda: {"role": "standby"}) as server:
        part = _part(f"http://127.0.0.1:{server.port}/ready")
        assert (ready(part, NO_KAFKA), is_standby(part)) == (False, True)
    assert not is_standby(_part(""))


def test_a_part_that_does_not_listen_is_not_ready() -> None:
    assert not ready(_part(f"http://127.0.0.1:{free_ports(1)[0]}/ready"), NO_KAFKA, timeout_s=0.5)


def test_kafka_is_checked_by_its_own_protocol() -> None:
    assert not ready(_part(""), KafkaSettings(f"127.0.0.1:{free_ports(1)[0]}"), timeout_s=0.2)


def test_memory_is_the_proportional_share_of_running_processes() -> None:
    assert pss_mib([os.getpid()]) > 1
    assert pss_mib([2**22 + 1]) == 0
    assert pss_mib([]) == 0


def test_a_grpc_server_is_ready_when_it_reports_that_it_serves() -> None:
    statuses = [b"\x08\x02", b"\x08\x01"]
    check = grpc.unary_unary_rpc_method_handler(lambda _request, _context: statuses.pop(0))
    health = grpc.method_handlers_generic_handler("grpc.health.v1.Health", {"Check": check})
    server = grpc.server(ThreadPoolExecutor(1), [health])
    part = _part(f"grpc://127.0.0.1:{server.add_insecure_port('127.0.0.1:0')}")
    assert not ready(part, NO_KAFKA, timeout_s=0.2)  # it does not answer yet
    server.start()
    assert not ready(part, NO_KAFKA, timeout_s=60.0)
    assert ready(part, NO_KAFKA, timeout_s=60.0)
    server.stop(0).wait()
