"""The command line: ``driftloop``."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Sequence
from keyword import iskeyword

import click

from driftloop import __version__
from driftloop.process.errors import ConfigError, DriftloopError

_GROUPS = {
    "Run it": {
        "up": "driftloop.ops.cli.system",
        "down": "driftloop.ops.cli.system",
        "status": "driftloop.ops.cli.status",
        "doctor": "driftloop.ops.cli.doctor",
        "demo": "driftloop.ops.cli.demo",
        "replay": "driftloop.ops.cli.replay",
        "call": "driftloop.ops.cli.replay",
    },
    "Make a loop": {
        "init": "driftloop.ops.cli.init",
        "check": "driftloop.ops.cli.check",
        "import": "driftloop.ops.cli.import_model",
    },
    "See what happens, and why": {
        "timeline": "driftloop.ops.cli.timeline",
        "wait": "driftloop.ops.cli.wait",
        "history": "driftloop.ops.cli.history",
        "lineage": "driftloop.ops.cli.history",
        "report": "driftloop.ops.cli.report",
        "kpis": "driftloop.ops.cli.kpis",
    },
    "Tell a loop what to do": {
        "retrain": "driftloop.ops.cli.commands",
        "approve": "driftloop.ops.cli.commands",
        "reject": "driftloop.ops.cli.commands",
        "rollback": "driftloop.ops.cli.commands",
        "pause": "driftloop.ops.cli.commands",
        "resume": "driftloop.ops.cli.commands",
    },
    "Repair": {
        "dlq": "driftloop.ops.cli.dlq",
        "rebuild": "driftloop.ops.cli.commands",
        "backup": "driftloop.ops.cli.backup",
        "restore": "driftloop.ops.cli.backup",
    },
    "Shell": {
        "completion": "driftloop.ops.cli.completion",
    },
}
"""Commands as `--help` lists them, each with the module that holds it: only the one that is run is imported."""
_COMMANDS = {name: module for group in _GROUPS.values() for name, module in group.items()}


_SENTENCE = 200
"""Letters of a command's first sentence: it is wrapped, not cut."""


class _Lazy(click.Group):
    def list_commands(self, _context: click.Context) -> list[str]:
        return list(_COMMANDS)

    def get_command(self, _context: click.Context, name: str) -> click.Command | None:
        if name not in _COMMANDS:
            return None
        module = __import__(_COMMANDS[name], fromlist=[name])
        found: click.Command = getattr(module, f"{name}_" if iskeyword(name) else name)
        return found

    def format_commands(self, context: click.Context, formatter: click.HelpFormatter) -> None:
        for title, group in _GROUPS.items():
            found = {name: self.get_command(context, name) for name in group}
            with formatter.section(title):
                formatter.write_dl(
                    [(name, each.get_short_help_str(_SENTENCE)) for name, each in found.items() if each is not None]
                )


@click.group(cls=_Lazy, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__)
def cli() -> None:
    """Keep a deployed model right: features, serving, monitoring, retraining and rollout over Kafka.

    Exit codes: 0 done, 1 something does not work or does not answer, 2 a wrong argument or setting, 3 a command that
    nothing could follow now.
    """


def main(arguments: Sequence[str] | None = None, command: click.Command = cli) -> None:
    """Entry point. A user's mistake is one line and exit code 2, a system that fails is one line and 1.

    ``arguments`` default to those of the process.
    """
    os.environ["TZ"] = "UTC"  # for Feast, here and in every process that is started from here
    time.tzset()
    try:
        code = command(
            arguments, prog_name="driftloop", standalone_mode=False
        )  # click catches a command's Exit and returns its code
        sys.exit(code or 0)
    except click.exceptions.Abort:
        sys.exit(130)
    except click.UsageError as error:
        path = error.ctx.command_path if error.ctx else "driftloop"
        message = " ".join(error.format_message().split())
        click.echo(f"{path}: {message.rstrip('.')}. See `{path} --help`.", err=True)
        sys.exit(2)
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    except ValueError as error:
        if (said := _about_a_setting(error)) is None:
            raise
        click.echo(f"driftloop: {said}", err=True)
        sys.exit(2)
    except ConfigError as error:
        click.echo(f"driftloop: {error}", err=True)
        sys.exit(2)
    except DriftloopError as error:
        click.echo(f"driftloop: {error}", err=True)
        sys.exit(1)


def _about_a_setting(error: ValueError) -> str | None:
    """What is wrong with a `DRIFTLOOP_...` variable, in one line; None where the error is about something else."""
    from pydantic import ValidationError
    from pydantic_settings import SettingsError

    if isinstance(error, SettingsError):
        return f'{error}; a list is written as JSON, such as ["orders"]'
    if not isinstance(error, ValidationError) or not error.title.endswith("Settings"):
        return None
    found = [f"DRIFTLOOP_{'_'.join(map(str, each['loc'])).upper()}: {each['msg']}" for each in error.errors()]
    return "; ".join(found)
