from __future__ import annotations

import ast
import importlib
import inspect
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from google.protobuf.message import Message

from driftloop.contracts import topics
from driftloop.contracts.generate import stale
from driftloop.contracts.topics import PROTOS, declared, message_class, topic, topic_of
from driftloop.process.errors import UndeclaredTopic
from driftloop.process.settings import ROOT

SERVICES = {"ingestion", "features", "training", "evaluation", "registry", "serving", "monitoring", "control"}
OTHERS = {"replay", "up"}
"""The clients of a replay, and `driftloop up`, which sends probes."""
BUILDERS = {"window_decided": "WindowDecided"}
"""Functions of driftloop.events that make a message for several services."""
OTHER_PRODUCERS = {
    "driftloop.predictions.v1.GiveUp": {"monitoring"},
    "driftloop.predictions.v1.GiveUpAsked": {"up"},
}
"""Producers of messages that not every producer of their topic, but only these send. Its owner sends the others."""
TOPIC = re.compile(r"[a-z]+\.[a-z-]+\.v\d+")


def _sources(service: str) -> Iterator[ast.AST]:
    for path in (ROOT / "services" / service).rglob("*.py"):
        yield from ast.walk(ast.parse(path.read_text()))


def _made(service: str) -> set[str]:
    """Return the names of the messages that a service's code creates: ``module.Message(...)`` or ``Message(...)``."""
    names = set()
    for node in _sources(service):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute | ast.Name):
            name = node.func.attr if isinstance(node.func, ast.Attribute) else node.func.id
            names.add(BUILDERS.get(name, name))
    return names


def test_generated_code_is_not_stale() -> None:
    assert stale() == [], "run `make protos`"


def test_the_list_of_services_is_complete() -> None:
    assert {path.parent.name for path in (ROOT / "services").glob("*/__main__.py")} == SERVICES


@pytest.mark.parametrize("name", sorted(declared()))
def test_a_topic_has_known_producers_and_consumers(name: str) -> None:
    declaration = topic(name)
    assert {declaration.owner, *declaration.producers, *declaration.consumers} <= SERVICES | OTHERS
    assert declaration.owner in declaration.producers
    assert len(set(declaration.producers)) == len(declaration.producers)
    assert len(set(declaration.consumers)) == len(declaration.consumers) > 0


@pytest.mark.parametrize("name", sorted(declared()))
def test_a_topic_carries_messages_of_its_own_domain_under_a_versioned_name(name: str) -> None:
    domain, kind, version = name.split(".")
    assert TOPIC.fullmatch(name)
    for message in topic(name).messages:
        assert message.startswith(f"driftloop.{domain}.{version}.")
        assert "loop" in message_class(message).DESCRIPTOR.fields_by_name
    words = kind.replace("-", "")
    assert any(words in message.lower() for message in topic(name).messages) or name == "predictions.served.v1"


def test_a_message_belongs_to_one_topic() -> None:
    every = [message for topic in declared().values() for message in topic.messages]
    assert len(every) == len(set(every))
    for name in every:
        assert name in topic_of(message_class(name)).messages


def test_every_top_level_message_belongs_to_a_topic() -> None:
    modules = [importlib.import_module(f"driftloop.contracts.{path.stem}_pb2") for path in PROTOS.rglob("v1/*.proto")]
    messages: list[type[Message]] = [
        each
        for module in modules
        if not module.DESCRIPTOR.services_by_name  # requests and responses are not events
        for _, each in inspect.getmembers(module, inspect.isclass)
        if issubclass(each, Message) and each.DESCRIPTOR.file is module.DESCRIPTOR
    ]
    parts = {
        field.message_type.full_name
        for each in messages
        for field in each.DESCRIPTOR.fields
        if field.message_type is not None
    }
    wholes = {each.DESCRIPTOR.full_name for each in messages} - parts
    assert wholes == {name for each in declared().values() for name in each.messages}


@pytest.mark.parametrize("service", sorted(SERVICES))
def test_a_service_creates_exactly_its_declared_events(service: str) -> None:
    made = _made(service)
    for each in declared().values():
        for message in each.messages:
            _, _, name = message.rpartition(".")
            if sum(other.endswith(f".{name}") for t in declared().values() for other in t.messages) > 1:
                continue  # two domains have a WatermarkAdvanced, so its name is ambiguous
            if OTHER_PRODUCERS.keys() & set(each.messages):
                producers = OTHER_PRODUCERS.get(message, {each.owner})
            else:
                producers = set(each.producers)
            assert (name in made) == (service in producers), f"{service} and {message}"


@pytest.mark.parametrize("service", sorted(SERVICES))
def test_a_topic_in_a_services_code_is_declared_for_the_service(service: str) -> None:
    constants = {node.value for node in _sources(service) if isinstance(node, ast.Constant)}
    for name in (each for each in constants if isinstance(each, str) and TOPIC.fullmatch(each)):
        assert service in (*topic(name).producers, *topic(name).consumers), f"{service} names {name}"


def test_an_undeclared_topic_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UndeclaredTopic, match=r"protos/topics/orders\.lost\.v1\.yaml"):
        topic("orders.lost.v1")
    with pytest.raises(UndeclaredTopic, match=r"0 files in protos/topics/ list driftloop\.training\.v1\.Bundle"):
        topic_of(message_class("driftloop.training.v1.Bundle"))
    (tmp_path / "topics").mkdir()
    (tmp_path / "topics" / "a.b.v1.yaml").write_text((PROTOS / "topics" / "control.pause.v1.yaml").read_text())
    monkeypatch.setattr(topics, "PROTOS", tmp_path)
    with pytest.raises(UndeclaredTopic, match=r"a\.b\.v1\.yaml declares control\.pause\.v1"):
        declared.__wrapped__()
