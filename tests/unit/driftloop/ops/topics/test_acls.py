from __future__ import annotations

from driftloop.contracts.topics import declared
from driftloop.loop.load import load_loop
from driftloop.loop.topics import plan_topics
from driftloop.ops.system.part import SERVICES
from driftloop.ops.topics.acls import Operation, list_acls
from driftloop.process.settings import ROOT

ORDERS = load_loop(ROOT / "tests" / "loops" / "orders").definition
ACLS = list_acls([ORDERS])


def operations(service: str, name: str) -> tuple[Operation, ...]:
    [acl] = [acl for acl in ACLS if (acl.service, acl.name) == (service, name)]
    return acl.operations


def services_of(name: str) -> dict[str, tuple[Operation, ...]]:
    return {acl.service: acl.operations for acl in ACLS if acl.name == name and acl.service != "driftloop"}


def test_only_declared_producers_may_write_a_topic_and_only_consumers_may_read_it() -> None:
    for name, topic in declared().items():
        rights = services_of(name)
        assert {service for service, may in rights.items() if "Write" in may} == {*topic.producers} - {"replay", "up"}
        assert {service for service, may in rights.items() if "Read" in may} == {*topic.consumers} - {"replay", "up"}


def test_ingestion_reads_raw_topics_and_writes_their_dead_letters() -> None:
    assert services_of("orders.placed") == {"ingestion": ("Read",)}
    assert services_of("orders.placed.dlq") == {"ingestion": ("Write",)}


def test_consumers_write_dead_letters_of_what_they_read() -> None:
    assert services_of("control.pause.v1.dlq") == dict.fromkeys(("training", "registry", "control"), ("Write",))


def test_the_detectors_have_the_rights_of_their_service() -> None:
    assert operations("monitoring", "driftloop-detectors-episodes-changelog") == ("Read", "Write")
    assert operations("monitoring", "driftloop-detectors") == ("Read",)


def test_commands_create_all_topics_and_replay_raw_events() -> None:
    for plan in plan_topics([ORDERS]):
        assert {"AlterConfigs", "Create", "Read"} <= {*operations("driftloop", plan.name)}
    assert "Write" in operations("driftloop", "orders.placed")
    assert "Write" in operations("driftloop", "orders.placed.dlq")
    assert "Write" not in operations("driftloop", "registry.champion-promoted.v1")


def test_every_service_has_a_group_of_its_name() -> None:
    groups = {(acl.service, acl.name) for acl in ACLS if acl.resource == "group" and acl.operations == ("Read",)}
    assert {(name, name) for name in SERVICES if name != "detectors"} <= groups
