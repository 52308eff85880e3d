"""The values of a report's figures."""

from __future__ import annotations

import json
import re
from base64 import b64decode

from driftloop.events.envelope import rfc3339
from driftloop.ops.report import figures
from driftloop.ops.report.drift import Point, Readings
from driftloop.ops.report.loop_page import loop_page
from driftloop.ops.report.overview import overview
from driftloop.readmodel import page_components
from driftloop.readmodel.loop_history import LoopHistory
from tests.helpers.lifecycle import LifecycleEvents, drifting

DAY_MS = 86_400_000


def test_lines_share_their_times_and_have_gaps_where_a_release_has_no_window() -> None:
    quality = [
        {"release": "r-a", "window_end": "1970-01-02T00:00:00.000Z", "loss": 0.5, "residual": 0.1, "count": 9},
        {"release": "r-a", "window_end": "1970-01-03T00:00:00.000Z", "loss": 0.6, "residual": 0.2, "count": 9},
        {"release": "r-b", "window_end": "1970-01-03T00:00:00.000Z", "loss": 0.4, "residual": 0.0, "count": 9},
    ]
    values = figures.loss_over_time(quality, []).values
    assert values["times"] == [DAY_MS, 2 * DAY_MS]
    assert {line["name"]: [point["y"] for point in line["points"]] for line in values["series"]} == {
        "r-a": [0.5, 0.6],
        "r-b": [None, 0.4],
    }
    assert figures.calibration(quality, []).values["levels"][0]["y"] == 0.0


def test_a_window_with_a_small_share_of_the_usual_outcomes_is_not_drawn() -> None:
    counts = [100, 1, 120, 12, 90]
    quality = [
        {"release": "r-1", "window_end": rfc3339(n * DAY_MS), "loss": 0.1 * n, "residual": 0.0, "count": count}
        for n, count in enumerate(counts)
    ]
    (line,) = figures.loss_over_time(quality, []).values["series"]
    assert [point["x"] // DAY_MS for point in line["points"]] == [0, 2, 3, 4]


def test_marks_are_those_of_the_catalogue() -> None:
    marks = figures.marks_of(drifting().events)
    assert {(mark["glyph"], mark["text"]) for mark in marks} >= {("alarm", "alarm returns"), ("champion", "promoted")}
    assert all(isinstance(mark["x"], int) for mark in marks)


def test_the_last_verdict_with_blocks_of_each_stage_is_drawn_in_the_colour_of_its_outcome() -> None:
    numbers = {"estimate": 0.02, "lower": 0.01, "upper": 0.03}
    verdicts = [
        {"stage": "shadow", "outcome": "not known yet", "blocks": 3, **numbers},
        {"stage": "shadow", "outcome": "passed", "blocks": 4, **numbers},
        {"stage": "canary", "outcome": "failed", "blocks": 0, **numbers},
    ]
    [row] = figures.verdicts([{"id": "r-b", "verdicts": verdicts}]).values["rows"]
    assert (row["name"], row["glyph"]) == ("r-b shadow (4 blocks): passed", "better")


def test_a_statistic_is_cut_at_four_thresholds() -> None:
    readings = Readings("returns", "trigger", 4.0, "block_residual", (Point(1, 3.0, "r"), Point(2, 99.0, "r")))
    values = figures.detector(readings, []).values
    assert [point["y"] for point in values["series"][0]["points"]] == [3.0, 16.0]
    assert values["levels"] == [{"y": 4.0, "text": "threshold 4"}]


def test_an_alarm_without_a_definition_is_a_point_and_a_mark() -> None:
    values = figures.detector(Readings("returns", "trigger", 4.0, alarms=(Point(5, 5.3, "r"),)), []).values
    assert values["times"] == [5]
    assert values["marks"] == [{"x": 5, "glyph": "alarm", "text": "alarm 5.30"}]


def test_text_of_events_cannot_end_the_script_that_holds_it() -> None:
    life = LifecycleEvents()
    life.window(0, "r-a")
    life.request(1, "c", life.alarm(1, "r-a", detector="</script><script>alert(1)", blocks=1))
    history = LoopHistory("orders", life.events)
    page = loop_page(overview(history, None), history, None)
    assert "<script>alert" not in page
    assert "</script><script>" not in page.replace("</script>\n<script", "")


def test_every_import_of_the_modules_is_in_the_import_map() -> None:
    imports = page_components.import_map()["imports"]
    script = page_components.bare_imports((page_components.FOLDER / "plot.js").read_text())
    texts = [b64decode(url.partition(",")[2]).decode() for url in imports.values()]
    names = {name for text in [script, *texts] for name in re.findall(r'\bfrom "([^"]+)"', text)}
    assert names <= set(imports)
    assert "htm-preact.js" in names
    json.dumps(imports)
