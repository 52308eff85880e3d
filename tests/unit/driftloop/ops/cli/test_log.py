from __future__ import annotations

import io
import json
import sys
from collections.abc import Iterator

import click
import pytest
import structlog

from driftloop.ops.cli import cli
from driftloop.process import log


@pytest.fixture(autouse=True)
def own_configuration() -> Iterator[None]:
    saved = structlog.get_config()
    yield
    structlog.configure(**saved)


def test_a_warning_leaves_the_output_of_a_command_to_scripts(capsys: pytest.CaptureFixture[str]) -> None:
    @click.command()
    def probe() -> None:
        log.get("probe").warning("record-unreadable", problem="postgresql://me:hunter2@host/db")
        click.echo(json.dumps({"a": 1}))

    context = click.Context(cli)
    context.invoke(cli.callback or (lambda: None))
    context.invoke(probe)
    out, err = capsys.readouterr()
    assert json.loads(out) == {"a": 1}
    assert "record-unreadable" in err
    assert "hunter2" not in err


def test_a_log_follows_a_standard_error_that_was_replaced(monkeypatch: pytest.MonkeyPatch) -> None:
    first, second = io.StringIO(), io.StringIO()
    monkeypatch.setattr(sys, "stderr", first)
    log.configure_command()
    logger = log.get("probe")
    monkeypatch.setattr(sys, "stderr", second)
    first.close()
    logger.warning("record-unreadable")
    assert "record-unreadable" in second.getvalue()
