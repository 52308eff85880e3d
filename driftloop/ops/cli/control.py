"""Helpers of the commands that call the control service."""

from __future__ import annotations

import getpass
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import Any

import click
from google.protobuf.message import Message
from google.protobuf.timestamp_pb2 import Timestamp

from driftloop.contracts import control_api_pb2 as api
from driftloop.contracts.message_json import as_dict
from driftloop.ops.cli.interrupts import guard
from driftloop.ops.cli.output import echo, echo_json
from driftloop.ops.control_client import ControlClient, NotFound, Refused
from driftloop.process.settings import Settings

JSON = click.option("--json", "as_json", is_flag=True, help="Print JSON.")
WHO = click.option(
    "--who",
    default=lambda: f"{getpass.getuser()}@{socket.gethostname()}",
    help="Your name; default: user@host.",
    metavar="NAME",
)
WHY = click.option(
    "--why", "-m", required=True, help="Reason; stored with the command and shown in the history.", metavar="TEXT"
)
REFUSED = 3
"""Exit code of a command that cannot be followed now."""


def call_control(name: str, request: Message, timeout_s: float = 30.0) -> Any:
    """Call the control service once."""
    with ControlClient(Settings().control_grpc) as client, report_errors():
        return client.call(name, request, timeout_s)


def stream_events(
    client: ControlClient, request: api.StreamTimelineRequest, timeout_s: float | None = None
) -> Iterator[api.Event]:
    """Yield the events of `ControlClient.timeline`. Ctrl-C during the wait for the next event closes the client."""
    timeline = client.timeline(request, timeout_s)
    closes_client = guard(client.close)
    while True:
        with closes_client:
            event = next(timeline, None)
        if event is None:
            return
        yield event


@contextmanager
def report_errors() -> Iterator[None]:
    """Turn errors of the control service into messages and exit codes of the command line."""
    try:
        yield
    except NotFound as error:
        raise click.UsageError(f"{error}.") from None
    except Refused as error:
        echo(f"driftloop: {error}", err=True)
        raise click.exceptions.Exit(REFUSED) from None


def print_json(message: Message, field: str | None = None) -> None:
    """Print a message, or one of its lists, as JSON."""
    content = as_dict(message)
    echo_json(content if field is None else content[field], indent=2)


def format_minute(moment: Timestamp) -> str:
    """Format a time to the minute, UTC."""
    return moment.ToDatetime().strftime("%Y-%m-%d %H:%M")


def to_timestamp(moment: datetime | None) -> Timestamp | None:
    """Convert a date; None stays None."""
    if moment is None:
        return None
    timestamp = Timestamp()
    timestamp.FromDatetime(moment)
    return timestamp
