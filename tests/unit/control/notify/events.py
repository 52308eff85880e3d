"""Events and notices for tests."""

from __future__ import annotations

from typing import Any

from google.protobuf import json_format

from driftloop.contracts.topics import message_class
from driftloop.events.envelope import Envelope, from_record
from services.control.domain.notices import Notice, notice_of
from tests.helpers.examples import FOLDER, read


def example(topic: str, **changes: Any) -> Envelope[Any]:
    """Return the example event of a topic, with changed fields."""
    record = read(FOLDER / topic / "good-usual.json").record
    event: Envelope[Any] = from_record(record, [message_class(dict(record.headers)["ce_type"].decode())])
    json_format.ParseDict(changes, event.data)
    return event


def notice(number: int = 1, wall_time_ms: int = 1_700_000_000_000) -> Notice:
    """Return a notice with an episode of its own."""
    name = f"run-{number}"
    return Notice(
        f"n-{number}",
        "run-failed",
        "orders",
        name,
        5,
        wall_time_ms,
        f"orders: {name}",
        "It failed.",
        f"e-{number}",
        "c",
    )


def written(topic: str, **changes: Any) -> Notice:
    """Return the notice of an example event."""
    notice = notice_of(example(topic, **changes))
    assert notice is not None
    return notice
