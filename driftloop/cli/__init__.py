"""The command line: ``driftloop``."""

from __future__ import annotations

import os
import sys
import time

import click

from driftloop import __version__
from driftloop.errors import ConfigError, DriftloopError

_COMMANDS = {
    "up": "driftloop.cli.system",
    "down": "driftloop.cli.system",
    "status": "driftloop.cli.status",
    "replay": "driftloop.cli.replay",
    "call": "driftloop.cli.replay",
    "demo": "driftloop.cli.demo",
    "init": "driftloop.cli.init",
    "check": "driftloop.cli.check",
    "kpis": "driftloop.cli.kpis",
    "report": "driftloop.cli.report",
    "dlq": "driftloop.cli.dlq",
    "doctor": "driftloop.cli.doctor",
    "completion": "driftloop.cli.completion",
}
"""Command to the module that holds it: only the one that is run is imported."""


class _Lazy(click.Group):
    def list_commands(self, _context: click.Context) -> list[str]:
        return list(_COMMANDS)

    def get_command(self, _context: click.Context, name: str) -> click.Command | None:
        if name not in _COMMANDS:
            return None
        module = __import__(_COMMANDS[name], fromlist=[name])
        found: click.Command = getattr(module, name)
        return found


@click.group(cls=_Lazy, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__)
def cli() -> None:
    """Keep a deployed model right: features, serving, monitoring, retraining and rollout over Kafka."""


def main() -> None:
    """Entry point. A user's mistake is one line and exit code 2, a system that fails is one line and 1."""
    os.environ["TZ"] = "UTC"  # for Feast, here and in every process that is started from here
    time.tzset()
    try:
        code = cli(prog_name="driftloop", standalone_mode=False)  # click catches a command's Exit and returns its code
        sys.exit(code or 0)
    except click.exceptions.Abort:
        sys.exit(130)
    except click.UsageError as error:
        command = error.ctx.command_path if error.ctx else "driftloop"
        click.echo(f"{command}: {error.format_message()} See `{command} --help`.", err=True)
        sys.exit(2)
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    except ConfigError as error:
        click.echo(f"driftloop: {error}", err=True)
        sys.exit(2)
    except DriftloopError as error:
        click.echo(f"driftloop: {error}", err=True)
        sys.exit(1)
