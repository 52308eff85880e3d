"""Slices and indices of a running loop: also of an input that the model does not use, and of text."""

from __future__ import annotations

import json
import urllib.request
from collections import defaultdict
from typing import Any

import pytest

from tests.e2e.running.commands import run_command, run_json
from tests.e2e.running.system import SILENT, RunningSystem

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(1200)]


def asked(running: RunningSystem, path: str) -> Any:
    """Return an answer of the page's API."""
    with urllib.request.urlopen(f"http://{running.settings.control_http}/api/{path}", timeout=30) as answer:
        return json.load(answer)


def test_every_slice_has_the_champions_quality(running: RunningSystem) -> None:
    name = running.loop.name
    found = asked(running, f"loops/{name}/slices?newest=90")["slices"]
    rows: dict[str, int] = defaultdict(int)
    for part in found:
        rows[part["slice"].partition("=")[0]] += part["rows"]
    assert rows["origin"] == rows["all"] > 1000
    assert rows["carrier"] == rows["all"]
    assert 0 < rows["plane"] < rows["all"]
    enough = [part for part in found if part["rows"] >= part["min_rows"]]
    assert {part["slice"].partition("=")[0] for part in enough} == {"all", "origin", "carrier", "plane"}
    assert all(part["loss"] > 0 and 0 <= part["outcome"] <= 1 and 0 < part["score"] < 1 for part in enough)
    assert all(part["loss"] < 2 for part in enough if part["slice"].startswith("origin="))
    assert run_json(running, "report", name)["slices"][0]["slice"] == "all"


def test_text_has_an_index_like_numbers(running: RunningSystem) -> None:
    found = {entry["name"]: entry for entry in asked(running, f"loops/{running.loop.name}/inputs?newest=90")["inputs"]}
    assert {"carrier", "origin", "dest", "distance_miles", "score"} <= set(found)
    assert all(0 <= found[name]["newest"] <= found[name]["greatest"] for name in ("carrier", "origin", "dest"))


def test_only_the_detector_that_never_has_rows_enough_is_silent_and_every_place_says_so(
    running: RunningSystem,
) -> None:
    [loop] = [loop for loop in run_json(running, "status")["loops"] if loop["loop"] == running.loop.name]
    [silent] = loop["silent"]
    assert (silent["detector"], silent["min_rows"], loop["breaker_open"]) == (SILENT, 1_000_000, False)
    assert silent["windows"] > 7
    assert 0 < silent["rows"] < 1_000_000
    note = f"detector {SILENT} has not judged the last {silent['windows']} windows"
    [shown] = [loop for loop in asked(running, "loops")["loops"] if loop["name"] == running.loop.name]
    assert [text for text in shown["notes"] if text.startswith(note)]
    assert note in " ".join(run_command(running, "status").replace("│", " ").split())
