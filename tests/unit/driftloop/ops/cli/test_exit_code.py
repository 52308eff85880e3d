from __future__ import annotations

import sys

import click
import pytest

from driftloop.ops import cli


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


@pytest.mark.parametrize(
    ("name", "value", "says"),
    [
        ("DRIFTLOOP_LOOPS", "[orders]", "a list is written as JSON"),
        ("DRIFTLOOP_HEALTH_PORT", "99999999", "DRIFTLOOP_HEALTH_PORT: Input should be less than or equal to 65535"),
        ("DRIFTLOOP_SEED", "x", "DRIFTLOOP_SEED: Input should be a valid integer"),
    ],
)
def test_a_setting_that_is_none_is_told_in_one_line(
    name: str, value: str, says: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv(name, value)
    monkeypatch.setattr(sys, "argv", ["driftloop", "history"])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    assert ended.value.code == 2
    [line] = capsys.readouterr().err.splitlines()
    assert says in line


def test_a_value_error_of_our_own_is_a_defect_and_is_shown_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    @click.command()
    def wrong() -> None:
        raise ValueError("a defect")

    monkeypatch.setattr(cli._Lazy, "get_command", lambda _self, _context, _name: wrong)
    monkeypatch.setattr(sys, "argv", ["driftloop", "wrong"])
    with pytest.raises(ValueError, match="a defect"):
        cli.main()
