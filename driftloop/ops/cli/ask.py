"""What the commands that ask the control service share."""

from __future__ import annotations

import getpass
import json
import socket
from collections.abc import Callable, Iterator
from datetime import datetime
from typing import Any

import click
from google.protobuf.message import Message
from google.protobuf.timestamp_pb2 import Timestamp

from driftloop.contracts import control_api_pb2 as api
from driftloop.contracts.message_json import as_dict
from driftloop.ops.cli.interrupts import guarded
from driftloop.ops.control_client import ControlClient, NotFound, Refused
from driftloop.process.settings import Settings

JSON = click.option("--json", "as_json", is_flag=True, help="Print JSON.")
WHO = click.option(
    "--who", default=lambda: f"{getpass.getuser()}@{socket.gethostname()}", help="You, unless set.", metavar="NAME"
)
WHY = click.option(
    "--why", "-m", required=True, help="Kept with the command, and shown in the history.", metavar="TEXT"
)
REFUSED = 3
"""Exit code of a command that could not be followed now."""


def ask(name: str, request: Message, timeout_s: float = 30.0) -> Any:
    """Ask the control service; what it does not know is a wrong argument."""
    with ControlClient(Settings().control_grpc) as client:
        return told(lambda: client.call(name, request, timeout_s))


def events(
    client: ControlClient, asked: api.StreamTimelineRequest, timeout_s: float | None = None
) -> Iterator[api.Event]:
    """The timeline as `ControlClient.timeline` gives it. Ctrl-C while the next event is awaited closes the client."""
    found = client.timeline(asked, timeout_s)
    closing = guarded(client.close)
    while True:
        with closing:
            event = next(found, None)
        if event is None:
            return
        yield event


def told(work: Callable[[], Any]) -> Any:
    """Turn what the control service refuses into what the command line says and exits with."""
    try:
        return work()
    except NotFound as error:
        raise click.UsageError(f"{error}.") from None
    except Refused as error:
        click.echo(f"driftloop: {error}", err=True)
        raise click.exceptions.Exit(REFUSED) from None


def print_json(message: Message, field: str | None = None) -> None:
    """Print a message, or a list in it, as JSON."""
    found = as_dict(message)
    click.echo(json.dumps(found if field is None else found[field], indent=2))


def minute(moment: Timestamp) -> str:
    """A time as people read it, UTC."""
    return moment.ToDatetime().strftime("%Y-%m-%d %H:%M")


def to_timestamp(moment: datetime | None) -> Timestamp | None:
    """A date of the command line."""
    if moment is None:
        return None
    found = Timestamp()
    found.FromDatetime(moment)
    return found
