"""The topics that services consume in code are those of ``protos/topics``."""

from __future__ import annotations

import pytest

from driftloop.contracts import control_pb2, features_pb2
from driftloop.contracts.topics import declared, message_class, topic_of
from driftloop.events.envelope import from_record
from driftloop.events.event_log import LIFECYCLE
from driftloop.runner.service import topics_of
from services.control.adapters import predictions as control
from services.features import handlers as features
from services.monitoring import bootstrap as monitoring
from services.monitoring.detectors import app as detectors
from tests.contract.readers import TABLES
from tests.helpers.examples import examples

BATCHES: dict[str, set[str]] = {
    "control": {*LIFECYCLE, control.TOPIC},
    "features": {features.TOPIC},
    "ingestion": {topic_of(control_pb2.Resume).name},  # beside the topics of the loops
    "monitoring": {*monitoring.TOPICS, detectors.SOURCE},
    "serving": {topic_of(features_pb2.WatermarkAdvanced).name},
}


@pytest.mark.parametrize("service", sorted(TABLES | BATCHES))
def test_a_service_consumes_exactly_its_declared_topics(service: str) -> None:
    consumed = set(topics_of(TABLES.get(service, {}))) | BATCHES.get(service, set())
    assert consumed == {name for name, topic in declared().items() if service in topic.consumers}


@pytest.mark.parametrize("service", sorted(TABLES))
def test_a_table_handles_every_message_of_the_topics_that_it_consumes(service: str) -> None:
    handled = {message.DESCRIPTOR.full_name for message in TABLES[service]}
    for name in topics_of(TABLES[service]):
        assert set(declared()[name].messages) <= handled


@pytest.mark.parametrize("service", sorted(TABLES))
def test_every_good_example_has_a_handler(service: str) -> None:
    consumed = topics_of(TABLES[service])
    for example in examples("good"):
        if example.record.topic in consumed:
            messages = [message_class(name) for name in declared()[example.record.topic].messages]
            assert callable(TABLES[service][type(from_record(example.record, messages).data)])
