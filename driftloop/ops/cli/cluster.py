"""``driftloop cluster``."""

from __future__ import annotations

import os
import shlex
from pathlib import Path

import click

from driftloop.ops.cli.output import echo
from driftloop.ops.cli.types import examples
from driftloop.ops.system.cluster.layout import Layout, create_secrets
from driftloop.process.settings import Settings

_EXAMPLES = (
    "driftloop cluster up",
    "driftloop cluster demo --step 6h",
    "driftloop cluster status",
    "driftloop cluster down",
    'eval "$(driftloop cluster env)"',
)


@click.command(
    epilog=examples(*_EXAMPLES),
    context_settings={"ignore_unknown_options": True, "allow_interspersed_args": False},
)
@click.option(
    "--dir", "folder", type=click.Path(path_type=Path), help="Folder of brokers and stores, in place of var/cluster."
)
@click.argument("command", nargs=-1, required=True, type=click.UNPROCESSED)
def cluster(folder: Path | None, command: tuple[str, ...]) -> None:
    """Run another command on a cluster on this machine.

    The cluster has three Kafka nodes, PostgreSQL, a Redis Cluster, an S3 server, and two instances of each service.
    `make setup CLUSTER=1` installs the stores; `up` and `demo` start them with the services. `env` prints the variables
    with which other programs use the cluster.
    """
    os.environ["DRIFTLOOP_CLUSTER_DIR"] = str(folder or Settings().home / "cluster")
    layout = Layout.of(Settings())
    create_secrets(layout)
    environment = layout.environment()
    os.environ.update(environment)
    if command == ("env",):
        for name, value in environment.items():
            echo(f"export {name}={shlex.quote(value)}")
        return
    from driftloop.ops.cli import cli

    cli.main(list(command), prog_name="driftloop cluster", standalone_mode=False)
