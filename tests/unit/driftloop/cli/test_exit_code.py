from __future__ import annotations

import sys

import click
import pytest

from driftloop import cli


@pytest.mark.parametrize("code", [0, 1, 3])
def test_the_process_ends_with_the_code_that_a_command_ended_with(code: int, monkeypatch: pytest.MonkeyPatch) -> None:
    @click.command()
    def stop() -> None:
        raise click.exceptions.Exit(code)

    monkeypatch.setattr(cli._Lazy, "get_command", lambda _self, _context, _name: stop)
    monkeypatch.setattr(sys, "argv", ["driftloop", "stop"])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    assert ended.value.code == code
