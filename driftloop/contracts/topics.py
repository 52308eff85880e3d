"""Topics as declared in ``protos/topics/``: one file a topic, read once."""

from __future__ import annotations

import importlib
from functools import cache
from pathlib import Path
from typing import Literal

import yaml
from google.protobuf.message import Message
from pydantic import BaseModel, ConfigDict, Field

from driftloop.process.errors import UndeclaredTopic

PROTOS = Path(__file__).resolve().parents[2] / "protos"


class Topic(BaseModel):
    """A declared topic."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    description: str
    owner: str
    """Service that answers for it."""
    producers: tuple[str, ...]
    consumers: tuple[str, ...]
    messages: tuple[str, ...]
    """Full names of the protobuf messages on it; `ce_type` says which one a record is."""
    key: str
    """What the record key is."""
    partitions: int = Field(default=1, ge=1)
    retention: Literal["forever", "7d"] = "forever"
    dead_letters: bool = True
    """Whether `<name>.dlq` exists."""


@cache
def declared() -> dict[str, Topic]:
    """All declarations by topic name."""
    found = {}
    for path in sorted((PROTOS / "topics").glob("*.yaml")):
        topic = Topic.model_validate(yaml.load(path.read_text(), Loader=yaml.CSafeLoader))
        if topic.name != path.stem:
            raise UndeclaredTopic(f"{path.name} declares {topic.name}; file and topic must have one name")
        found[topic.name] = topic
    return found


def topic(name: str) -> Topic:
    """The declaration of a topic.

    Raises:
        UndeclaredTopic: no topic has that name.
    """
    try:
        return declared()[name]
    except KeyError:
        raise UndeclaredTopic(f"no file protos/topics/{name}.yaml declares the topic {name}") from None


@cache
def message_class(full_name: str) -> type[Message]:
    """The generated class of ``driftloop.<domain>.v1.<Message>``."""
    package, _, name = full_name.rpartition(".")
    domain = package.split(".")[1]
    module = importlib.import_module(f"driftloop.contracts.{domain}_pb2")
    found: type[Message] = getattr(module, name)
    return found


def topic_of(message: type[Message]) -> Topic:
    """The topic that declares a message.

    Raises:
        UndeclaredTopic: not exactly one does.
    """
    return _topic_of(message.DESCRIPTOR.full_name)


@cache
def _topic_of(name: str) -> Topic:
    found = [topic for topic in declared().values() if name in topic.messages]
    if len(found) != 1:
        raise UndeclaredTopic(f"{len(found)} topics declare {name}; one must")
    return found[0]
