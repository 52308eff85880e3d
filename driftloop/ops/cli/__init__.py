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
from driftloop.process.private_files import keep_files_private
from driftloop.process.redaction import redact, redact_tracebacks

_GROUPS = {
    "Run it": {
        "up": "driftloop.ops.cli.system",
        "down": "driftloop.ops.cli.system",
        "status": "driftloop.ops.cli.status",
        "doctor": "driftloop.ops.cli.doctor",
        "topics": "driftloop.ops.cli.topics",
        "demo": "driftloop.ops.cli.demo",
        "cluster": "driftloop.ops.cli.cluster",
        "replay": "driftloop.ops.cli.replay",
        "call": "driftloop.ops.cli.replay",
    },
    "Create a loop": {
        "init": "driftloop.ops.cli.init",
        "check": "driftloop.ops.cli.check",
        "import": "driftloop.ops.cli.import_model",
    },
    "Inspect": {
        "timeline": "driftloop.ops.cli.timeline",
        "wait": "driftloop.ops.cli.wait",
        "history": "driftloop.ops.cli.history",
        "lineage": "driftloop.ops.cli.history",
        "report": "driftloop.ops.cli.report",
        "kpis": "driftloop.ops.cli.kpis",
    },
    "Control a loop": {
        "retrain": "driftloop.ops.cli.commands",
        "approve": "driftloop.ops.cli.commands",
        "reject": "driftloop.ops.cli.commands",
        "rollback": "driftloop.ops.cli.commands",
        "pause": "driftloop.ops.cli.commands",
        "resume": "driftloop.ops.cli.commands",
    },
    "Repair": {
        "dlq": "driftloop.ops.cli.dlq",
        "watermark": "driftloop.ops.cli.watermark",
        "give-up": "driftloop.ops.cli.give_up",
        "rebuild": "driftloop.ops.cli.commands",
        "backup": "driftloop.ops.cli.backup",
        "restore": "driftloop.ops.cli.backup",
    },
    "Shell": {
        "completion": "driftloop.ops.cli.completion",
    },
}
"""Commands in the order of `--help`, each with its module: only the module of the command that runs is imported."""
_COMMANDS = {name: module for group in _GROUPS.values() for name, module in group.items()}


_LONGEST_SENTENCE = 200
"""Longest first sentence of a command in `--help`, in characters: it is wrapped, not cut."""


class _Lazy(click.Group):
    def list_commands(self, _context: click.Context) -> list[str]:
        return list(_COMMANDS)

    def get_command(self, _context: click.Context, name: str) -> click.Command | None:
        if name not in _COMMANDS:
            return None
        module = __import__(_COMMANDS[name], fromlist=[name])
        command: click.Command = getattr(module, f"{name}_" if iskeyword(name) else name.replace("-", "_"))
        return command

    def format_commands(self, context: click.Context, formatter: click.HelpFormatter) -> None:
        for title, group in _GROUPS.items():
            commands = {name: self.get_command(context, name) for name in group}
            with formatter.section(title):
                formatter.write_dl(
                    [
                        (name, command.get_short_help_str(_LONGEST_SENTENCE))
                        for name, command in commands.items()
                        if command is not None
                    ]
                )


@click.group(cls=_Lazy, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__)
def cli() -> None:
    """Keep a deployed model right: features, serving, monitoring, retraining and rollout over Kafka.

    Exit codes: 0 done, 1 something does not work or does not answer, 2 a wrong argument or setting, 3 a command that
    nothing could follow now, 130 interrupted.
    """
    from driftloop.process import log  # imports structlog, which `--help` does not need

    log.configure_command()


def main(arguments: Sequence[str] | None = None, command: click.Command = cli) -> None:
    """Run the command line, with ``arguments`` or those of the process.

    An error of the user is one line and exit code 2; a failure of the system is one line and exit code 1.
    """
    os.environ["TZ"] = "UTC"  # for Feast, in this process and in those that it starts
    time.tzset()
    keep_files_private()
    redact_tracebacks()
    try:
        sys.exit(command(arguments, prog_name="driftloop", standalone_mode=False) or 0)  # click returns an Exit's code
    except click.exceptions.Abort:
        sys.exit(130)
    except click.UsageError as error:
        path = error.ctx.command_path if error.ctx else "driftloop"
        message = " ".join(error.format_message().split())
        _print_error(f"{path}: {message.rstrip('.')}. See `{path} --help`.")
        sys.exit(2)
    except click.ClickException as error:
        _print_error(f"driftloop: {error.format_message()}")
        sys.exit(error.exit_code)
    except ValueError as error:
        if (problem := _settings_problem(error)) is None:
            raise
        _print_error(f"driftloop: {redact(problem)}")
        sys.exit(2)
    except DriftloopError as error:
        _print_error(f"driftloop: {redact(str(error))}")
        sys.exit(2 if isinstance(error, ConfigError) else 1)


def _print_error(text: str) -> None:
    from driftloop.ops.cli.output import echo  # imports rich, which `--help` does not need

    echo(text, err=True)


def _settings_problem(error: ValueError) -> str | None:
    """Return what is wrong with a `DRIFTLOOP_...` variable, in one line; None if the error is about something else."""
    from pydantic import ValidationError
    from pydantic_settings import SettingsError

    if isinstance(error, SettingsError):
        return f'{error}; a list is written as JSON, such as ["orders"]'
    if not isinstance(error, ValidationError) or not error.title.endswith("Settings"):
        return None
    return "; ".join(f"DRIFTLOOP_{'_'.join(map(str, item['loc'])).upper()}: {item['msg']}" for item in error.errors())
