"""Every command has a sentence, a valid example and, for scripts, JSON."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator

import click
import pytest

from driftloop.ops import cli

NO_JSON = {"completion", "cluster", "dlq", "topics", "replay", "call"}
"""A script for a shell; one that runs another command; two groups; and commands that always print JSON."""


def commands() -> Iterator[tuple[str, click.Command]]:
    context = click.Context(cli.cli)
    for name in cli.cli.list_commands(context):
        command = cli.cli.get_command(context, name)
        assert command is not None
        yield name, command
        if isinstance(command, click.Group):
            yield from ((f"{name} {subcommand.name}", subcommand) for subcommand in command.commands.values())


COMMANDS = dict(commands())


def examples(command: click.Command) -> list[list[str]]:
    """Return the words of each example after ``driftloop``."""
    lines = re.findall(r"(?<![\w/])driftloop ([^|)]*?)(?=\s*(?:\||\)|\s#|$))", command.epilog or "", re.MULTILINE)
    return [shlex.split(line) for line in lines]


@pytest.mark.parametrize("name", COMMANDS)
def test_a_command_has_help_and_valid_examples(name: str) -> None:
    command = COMMANDS[name]
    assert (command.help or "").strip().endswith(".")
    own = name.split()
    shown = examples(command)
    assert shown
    for words in shown:
        assert words[: len(own)] == own
        command.make_context(name, words[len(own) :], resilient_parsing=True)


@pytest.mark.parametrize("name", sorted(COMMANDS.keys() - NO_JSON))
def test_a_command_has_a_json_option(name: str) -> None:
    assert any("--json" in option.opts for option in COMMANDS[name].params)


def test_a_missing_choice_is_reported_in_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        cli.main(["completion"])
    assert ended.value.code == 2
    [line] = capsys.readouterr().err.splitlines()
    assert line.endswith("Choose from: bash, zsh, fish. See `driftloop completion --help`.")
