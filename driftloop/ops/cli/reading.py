"""How commands come by the log of lifecycle events, and by one of the names in it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import click
from rich.console import Console

from driftloop.bus.admin import require_broker
from driftloop.events.envelope import Envelope
from driftloop.events.event_log import read_events
from driftloop.process.settings import Settings

ReadEvents = Callable[[str], list[Envelope[Any]]]
"""From bootstrap servers to all lifecycle events, in the order of their publication."""

_SHOWN = 12


def from_broker(bootstrap: str) -> list[Envelope[Any]]:
    """Read them from Kafka.

    Raises:
        DriftloopError: no broker answers, or it stops before the end.
    """
    require_broker(bootstrap)
    return read_events(bootstrap)


def known_events(context: click.Context, settings: Settings) -> list[Envelope[Any]]:
    """All lifecycle events, while the terminal says so; a caller may give another reader as the context's object."""
    read: ReadEvents = context.obj or from_broker
    with Console(stderr=True).status(f"reading lifecycle events from {settings.kafka_bootstrap}"):
        return read(settings.kafka_bootstrap)


def one_of(name: str, there: Mapping[str, Sequence[str]]) -> str:
    """The name, if it is there; ``there`` holds names by what they are called together.

    Raises:
        click.UsageError: it is not; the message lists what is.
    """
    if any(name in names for names in there.values()):
        return name
    listed = "; ".join(f"{kind}: {_list(names)}" for kind, names in there.items())
    raise click.UsageError(f"there is no {name!r}. There are {listed}.")


def _list(names: Sequence[str]) -> str:
    more = f" and {len(names) - _SHOWN} older" if len(names) > _SHOWN else ""
    return (", ".join(names[-_SHOWN:]) or "none") + more
