from __future__ import annotations

import io
import json
import logging
import os
import subprocess
import sys
from pathlib import Path

import pytest

from driftloop.process import log
from driftloop.process.redaction import redact
from driftloop.process.settings import ROOT
from driftloop.process.startup_errors import read_startup_errors, write_startup_errors

HUSH = "hu5h-hu5h"
TEXTS = [
    f"postgresql://me:{HUSH}@db:5432/driftloop_{{service}}",
    f"postgresql+psycopg://me:{HUSH}@db/x?sslmode=require",
    f"connect to postgresql://me:a@b:{HUSH}/c@db/x failed, see http://host/page",
    f"postgresql://:{HUSH}@db/x",
    f"http://me:{HUSH}@mlflow:5000",
    f"postgresql://db/x?user=me&password={HUSH}&sslmode=require",
    f"host=db user=me password={HUSH} dbname=x",
    f"host=db password='{HUSH}'",
    f'{{"password": "{HUSH}", "user": "me"}}',
    f"s3://bucket?aws_secret_access_key={HUSH}",
    f"DRIFTLOOP_TRITON_CONTROL_TOKEN={HUSH}",
]


@pytest.mark.parametrize("text", TEXTS)
def test_a_secret_is_hidden_and_the_rest_stays(text: str) -> None:
    hidden = redact(text)
    assert HUSH not in hidden
    assert "***" in hidden
    assert redact(hidden) == hidden
    assert ("db" in hidden) == ("db" in text)


@pytest.mark.parametrize(
    "text",
    [
        "http://127.0.0.1:19121/loops", "postgresql://db/x", "anna@example.org wrote: it works", "12:30 a@b",
        "sqlite:////home/me/state/registry.db", "the token of this home",
        '{"token": null, "secret": {"a": 1}}', "release r-1: 3 of 4", "postgresql://me@db/x",
    ],
)  # fmt: skip
def test_text_without_a_secret_is_unchanged(text: str) -> None:
    assert redact(text) == text


@pytest.mark.parametrize("text", TEXTS[:3])
def test_no_secret_is_logged(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    written = io.StringIO()
    monkeypatch.setattr("sys.stderr", written)
    former = logging.getLogger().handlers[:]
    try:
        log.configure("tested")
        log.get("tested").warning("cannot-connect", problem=text, detail={"deep": [text]})
        logging.getLogger("a.library").error("cannot use %s", text)
        try:
            raise RuntimeError(text)
        except RuntimeError:
            log.get("tested").exception("defect")
    finally:
        logging.getLogger().handlers[:] = former
    lines = written.getvalue().splitlines()
    assert len(lines) == 3
    assert all(json.loads(line) for line in lines)
    assert HUSH not in written.getvalue()


def test_no_startup_error_has_a_secret(tmp_path: Path) -> None:
    write_startup_errors(tmp_path, "registry", f"cannot use {TEXTS[0]}")
    assert read_startup_errors(tmp_path) == ["cannot use postgresql://me:***@db:5432/driftloop_{service}"]


def test_no_trace_has_a_secret(tmp_path: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from driftloop.process import telemetry\n"
        "telemetry.start('tested', Path(sys.argv[1]))\n"
        "try:\n"
        "    with telemetry.span('work', None, address=sys.argv[2]):\n"
        "        raise RuntimeError(sys.argv[2])\n"
        "except RuntimeError: pass\n"
    )
    path = tmp_path / "spans.jsonl"
    subprocess.run([sys.executable, "-c", code, str(path), TEXTS[0]], cwd=ROOT, check=True)
    [line] = path.read_text().splitlines()
    assert json.loads(line)["attributes"]["address"].startswith("postgresql://me:***@")
    assert HUSH not in line


@pytest.mark.parametrize(
    ("module", "variables"),
    [
        ("driftloop.ops.cli status", {"DRIFTLOOP_HEALTH_PORT": TEXTS[4]}),
        ("driftloop.ops.cli status", {"DRIFTLOOP_STATE_URL": "postgresql://me:hu5h-hu5h@db/driftloop"}),
        ("services.registry", {"DRIFTLOOP_STATE_URL": "postgresql://me:{hu5h-hu5h}@db/{service}"}),
    ],
)
def test_a_wrong_setting_is_reported_without_its_secret(module: str, variables: dict[str, str], tmp_path: Path) -> None:
    ended = subprocess.run(
        [sys.executable, "-m", *module.split()],
        cwd=ROOT, env={**os.environ, "DRIFTLOOP_HOME": str(tmp_path / "home"), **variables},
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert ended.returncode in (1, 2)
    assert next(iter(variables)).removeprefix("DRIFTLOOP_").lower() in ended.stderr.lower()
    assert HUSH not in ended.stdout + ended.stderr
