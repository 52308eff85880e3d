"""The pages as HTML: well-formed and self-contained. `tests/browser/test_report.py` looks at the drawn figures."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Callable
from functools import cache, partial
from html.parser import HTMLParser
from typing import Any

import pytest

from driftloop.events.event_log import LIFECYCLE, decode
from driftloop.ops.demo.page import render
from driftloop.ops.report.bundles import read_bundle
from driftloop.ops.report.card import card
from driftloop.ops.report.loop_page import headline, loop_page
from driftloop.ops.report.overview import overview
from driftloop.ops.report.release_page import release_page
from driftloop.ops.report.releases import quality, releases
from driftloop.readmodel.loop_history import LoopHistory, histories
from tests.helpers.examples import examples
from tests.helpers.lifecycle import LifecycleEvents, drifting, first_champion
from tests.unit.monitoring.harness import definition

_VOID = {"meta", "br", "link", "img", "hr"}


class Page(HTMLParser):
    """The elements of a page."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.texts: dict[str, list[str]] = defaultdict(list)
        """Text of scripts by type, in order."""
        self.feed(text)
        assert self.open == []

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attributes)))
        if tag not in _VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attributes)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] == "script":
            self.texts[self.found[-1][1].get("type") or ""].append(data)

    def count(self, tag: str) -> int:
        return sum(name == tag for name, _ in self.found)


def loops_page(life: LifecycleEvents) -> str:
    history = LoopHistory("orders", life.events)
    return loop_page(overview(history, definition()), history, definition())


def cards_page(life: LifecycleEvents, release: str) -> str:
    history = LoopHistory("orders", life.events)
    return release_page(card(history, release, definition(), read_bundle), history)


def demo_page(life: LifecycleEvents) -> str:
    history = LoopHistory("orders", life.events)
    report: dict[str, Any] = {
        "chain": [], "quality": quality(history), "releases": releases(history),
        "checks": [], "kills": [],
        "predictions": {}, "outcomes": {}, "ingestion": {}, "feature_age_s": {}, "timings_s": {}, "memory_mib": {},
    }  # fmt: skip
    return render(report, history, "all is well", "in short")


def young() -> LifecycleEvents:
    life = LifecycleEvents()
    life.window(0, "")
    first_champion(life, 1)
    return life


def told_by_examples() -> LifecycleEvents:
    """Every kind of event once or twice, and few of them belonging together."""
    life = LifecycleEvents()
    life.events = [decode(each.record) for each in examples("good") if each.record.topic in LIFECYCLE]
    return life


LOOSE = sorted(release for history in histories(told_by_examples().events) for release in history.releases)
PAGES: dict[str, Callable[[], str]] = {
    "a loop": lambda: loops_page(drifting()),
    "a young loop": lambda: loops_page(young()),
    "a loop of loose ends": lambda: loops_page(told_by_examples()),
    "a champion": lambda: cards_page(drifting(), "r-a"),
    "a release that was refused": lambda: cards_page(drifting(), "r-b"),
    "a release with no traffic": lambda: cards_page(young(), "r-a"),
    **{f"loose ends of {name}": partial(cards_page, told_by_examples(), name) for name in LOOSE},
    "the demo": lambda: demo_page(drifting()),
}


@cache
def text_of(name: str) -> str:
    """A page, made once."""
    return PAGES[name]()


@pytest.mark.parametrize("name", PAGES)
def test_a_page_is_well_formed_and_has_one_heading(name: str) -> None:
    page = Page(text_of(name))
    assert page.count("h1") == 1
    assert page.count("main") == 1


@pytest.mark.parametrize("name", PAGES)
def test_a_page_needs_no_network(name: str) -> None:
    for tag, attributes in Page(text_of(name)).found:
        links = [value or "" for key, value in attributes.items() if key in ("src", "href", "xlink:href")]
        assert tag not in ("link", "img")
        assert all(value.startswith("#") for value in links), links
    [modules] = Page(text_of(name)).texts["importmap"]
    assert all(url.startswith("data:") for url in json.loads(modules)["imports"].values())


@pytest.mark.parametrize("name", PAGES)
def test_every_figure_has_a_component_its_values_and_a_caption(name: str) -> None:
    page = Page(text_of(name))
    components = [attributes["data-figure"] for _, attributes in page.found if "data-figure" in attributes]
    values = [json.loads(text) for text in page.texts["application/json"]]
    assert page.count("figure") == page.count("figcaption") == len(components) == len(values)
    keys = {"plot": "series", "intervals": "rows", "chain": "events"}
    assert all(keys[component or ""] in value for component, value in zip(components, values, strict=True))


def test_the_loops_page_answers_what_people_ask() -> None:
    page = text_of("a loop")
    for words in ("What changed", "Since when", "What the system did", "Did it help", "time to repair", "r-c"):
        assert words in page
    assert "No alarm asked for a retrain." in text_of("a young loop")


def test_what_events_say_is_escaped() -> None:
    life = drifting()
    alarm = next(each for each in life.events if each.type.endswith("DriftDetected") and each.data.mode == "trigger")
    alarm.data.explanation = "<b>loud</b>"
    page = loops_page(life)
    assert "<b>loud" not in page
    assert "&lt;b&gt;loud" in page


@pytest.mark.parametrize(
    ("state", "said"),
    [("promoted", "one alarm answered by a promotion"), ("under way", "one alarm still open (under way)")],
)
def test_the_headline_says_how_the_last_alarm_ended(state: str, said: str) -> None:
    assert headline({"incidents": [{"state": state}]}) == said
