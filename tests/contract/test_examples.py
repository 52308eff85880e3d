from __future__ import annotations

import pytest

from driftloop.contracts.topics import declared, message_class
from driftloop.events.envelope import from_record, to_record
from driftloop.process.errors import InvalidEvent
from tests.helpers.examples import FOLDER, Example, examples

GOOD = examples("good")
POISON = examples("poison")
SEEN_BY = [(consumer, example) for example in examples() for consumer in declared()[example.record.topic].consumers]


def _name(value: object) -> str:
    return value.name if isinstance(value, Example) else str(value)


def test_exactly_the_declared_topics_have_good_and_poison_examples() -> None:
    for kind in (GOOD, POISON):
        assert {example.record.topic for example in kind} == set(declared())
    assert {path.name for path in FOLDER.iterdir()} == set(declared())
    assert len(examples()) == len([path for path in FOLDER.rglob("*") if path.is_file()])


def test_every_message_has_a_good_example() -> None:
    shown = {dict(example.record.headers)["ce_type"].decode() for example in GOOD}
    assert shown == {name for topic in declared().values() for name in topic.messages}


@pytest.mark.parametrize(("consumer", "example"), SEEN_BY, ids=_name)
def test_consumers_read_good_examples_and_refuse_poison(consumer: str, example: Example) -> None:
    messages = [message_class(name) for name in declared()[example.record.topic].messages]
    if not example.reason:
        event = from_record(example.record, messages)
        assert event.loop == event.data.loop  # type: ignore[attr-defined]
        return
    with pytest.raises(InvalidEvent) as refused:
        from_record(example.record, messages)
    assert refused.value.reason == example.reason, consumer


@pytest.mark.parametrize("example", GOOD, ids=_name)
def test_a_good_example_equals_what_its_producer_sends(example: Example) -> None:
    topic = declared()[example.record.topic]
    event = from_record(example.record, [message_class(name) for name in topic.messages])
    assert event.source.removeprefix("/driftloop/") in topic.producers
    sent = to_record(event, (example.record.key or b"").decode())
    assert (sent.topic, sent.key, sent.headers) == (topic.name, example.record.key, example.record.headers)
    assert sent.value == example.record.value


@pytest.mark.parametrize("example", GOOD, ids=_name)
def test_good_examples_set_at_least_half_of_the_fields_of_a_message(example: Example) -> None:
    """In the examples of a message, at least half of its fields are set: an empty field shows nothing."""
    same_type = [
        other for other in GOOD if dict(other.record.headers)["ce_type"] == dict(example.record.headers)["ce_type"]
    ]
    message = message_class(dict(example.record.headers)["ce_type"].decode())
    shown = {
        field.name for other in same_type for field, _ in message.FromString(other.record.value or b"").ListFields()
    }
    assert len(shown) * 2 > len(message.DESCRIPTOR.fields)


@pytest.mark.parametrize("example", POISON, ids=_name)
def test_a_poison_example_has_a_reason(example: Example) -> None:
    assert example.reason
