"""Reads lifecycle events, and checks names against them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import click

from driftloop.bus.admin import require_broker
from driftloop.bus.kafka_settings import KafkaSettings
from driftloop.events.envelope import Envelope
from driftloop.events.event_log import read_events
from driftloop.ops.cli.output import working
from driftloop.process.settings import Settings

ReadEvents = Callable[[KafkaSettings], list[Envelope[Any]]]
"""Takes settings of Kafka and returns all lifecycle events in order of publication."""

_MAX_LISTED = 12


def read_all_events(kafka: KafkaSettings) -> list[Envelope[Any]]:
    """Read all lifecycle events from Kafka.

    Raises:
        DriftloopError: no broker answers, or it stops before the end.
    """
    require_broker(kafka)
    return read_events(kafka)


def load_events(context: click.Context, settings: Settings) -> list[Envelope[Any]]:
    """Return all lifecycle events and show a status line meanwhile. The context's object may be another reader."""
    read: ReadEvents = context.obj or read_all_events
    with working(f"reading lifecycle events from {settings.kafka_bootstrap}"):
        return read(KafkaSettings.of(settings))


def check_name(name: str, known: Mapping[str, Sequence[str]]) -> str:
    """Return the name if it is known; ``known`` has names by plural of their kind.

    Raises:
        click.UsageError: it is unknown; the message lists the known names.
    """
    if any(name in names for names in known.values()):
        return name
    listed = "; ".join(f"{kind}: {_list(names)}" for kind, names in known.items())
    raise click.UsageError(f"{name!r} is unknown. There are {listed}.")


def _list(names: Sequence[str]) -> str:
    more = f" and {len(names) - _MAX_LISTED} older" if len(names) > _MAX_LISTED else ""
    return (", ".join(names[-_MAX_LISTED:]) or "none") + more
