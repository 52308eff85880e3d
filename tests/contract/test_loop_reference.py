"""The reference of ``loop.yaml`` is up to date."""

from __future__ import annotations

import pytest

from driftloop.loop import reference


def test_the_page_equals_the_generated_one() -> None:
    assert reference.main(["--check"]) == 0


def test_a_page_that_differs_is_reported(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(reference, "PAGE", reference.PAGE.with_name("nowhere.md"))
    assert reference.main(["--check"]) == 1
    assert "run `python -m driftloop.loop.reference`" in capsys.readouterr().err


def test_every_key_is_explained() -> None:
    assert reference.undocumented() == []


@pytest.mark.parametrize(
    "line",
    [
        "## `monitoring.detectors.<name>`",
        "| `lateness` | duration | `0s` | How far the watermark of a partition stays behind"
        " the newest event of that partition. |",
        "| `from` | string, at most 96 characters, like `^[a-z][a-z0-9_]*(\\.[a-z][a-z0-9_]*)*$` | required |",
        "| `kind` | `binary` or `regression` or `count` or `multiclass` | required |",
        "| `partitions` | integer, at least 1, at most 1024 | `2` | Number of partitions of the raw topic. |",
        "| `feeds` | list of list of string | none |",
    ],
)
def test_a_key_is_listed_with_its_type_bounds_and_default(line: str) -> None:
    assert line in reference.page()
