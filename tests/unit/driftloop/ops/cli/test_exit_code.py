from __future__ import annotations

import click
import pytest

from driftloop.ops import cli


@pytest.mark.parametrize("code", [0, 1, 3])
def test_the_process_exits_with_the_code_of_the_command(code: int) -> None:
    @click.command()
    def stop() -> None:
        raise click.exceptions.Exit(code)

    with pytest.raises(SystemExit) as ended:
        cli.main([], stop)
    assert ended.value.code == code


@pytest.mark.parametrize(
    ("name", "value", "says"),
    [
        ("DRIFTLOOP_LOOPS", "[orders]", "a list is written as JSON"),
        ("DRIFTLOOP_HEALTH_PORT", "99999999", "DRIFTLOOP_HEALTH_PORT: Input should be less than or equal to 65535"),
        ("DRIFTLOOP_SEED", "x", "DRIFTLOOP_SEED: Input should be a valid integer"),
    ],
)
def test_an_invalid_setting_is_reported_in_one_line(
    name: str, value: str, says: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(SystemExit) as ended:
        cli.main(["history"])
    assert ended.value.code == 2
    [line] = capsys.readouterr().err.splitlines()
    assert says in line


def test_a_value_error_of_a_command_keeps_its_traceback() -> None:
    @click.command()
    def wrong() -> None:
        raise ValueError("a defect")

    with pytest.raises(ValueError, match="a defect"):
        cli.main([], wrong)
