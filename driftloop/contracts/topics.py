"""Topics declared in ``protos/topics/``, one file per topic. Each file is read once."""

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
    """Service that is responsible for the topic."""
    producers: tuple[str, ...]
    consumers: tuple[str, ...]
    messages: tuple[str, ...]
    """Full names of the protobuf messages on the topic; a record's `ce_type` says which one it is."""
    key: str
    """Description of the record key."""
    partitions: int = Field(default=1, ge=1)
    retention: Literal["forever", "7d"] = "forever"
    dead_letters: bool = True
    """Whether `<name>.dlq` exists."""


@cache
def declared() -> dict[str, Topic]:
    """Return all declarations by topic name."""
    topics = {}
    for path in sorted((PROTOS / "topics").glob("*.yaml")):
        topic = Topic.model_validate(yaml.load(path.read_text(), Loader=yaml.CSafeLoader))
        if topic.name != path.stem:
            raise UndeclaredTopic(f"protos/topics/{path.name} declares {topic.name}; name the file after its topic")
        topics[topic.name] = topic
    return topics


def topic(name: str) -> Topic:
    """Return the declaration of a topic.

    Raises:
        UndeclaredTopic: no topic has that name.
    """
    try:
        return declared()[name]
    except KeyError:
        raise UndeclaredTopic(f"no file protos/topics/{name}.yaml declares the topic {name}") from None


@cache
def message_class(full_name: str) -> type[Message]:
    """Return the generated class of ``driftloop.<domain>.v1.<Message>``."""
    package, _, name = full_name.rpartition(".")
    domain = package.split(".")[1]
    module = importlib.import_module(f"driftloop.contracts.{domain}_pb2")
    message: type[Message] = getattr(module, name)
    return message


def topic_of(message: type[Message]) -> Topic:
    """Return the topic that declares a message.

    Raises:
        UndeclaredTopic: no topic declares it, or several do.
    """
    return _topic_of(message.DESCRIPTOR.full_name)


@cache
def _topic_of(name: str) -> Topic:
    topics = [topic for topic in declared().values() if name in topic.messages]
    if len(topics) != 1:
        raise UndeclaredTopic(f"{len(topics)} files in protos/topics/ list {name}; exactly one must")
    return topics[0]
