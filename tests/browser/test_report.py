"""A report in the browser: one file that draws its figures with the page's components."""

from __future__ import annotations

from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from driftloop.ops.report.loop_page import loop_page
from driftloop.ops.report.overview import overview
from driftloop.readmodel.loop_history import LoopHistory
from tests.browser.chromium import DESKTOP, PHONE, open_page
from tests.browser.test_page import AXE, axe_violations
from tests.helpers.event_lines import newest_line
from tests.helpers.lifecycle import drifting

pytestmark = pytest.mark.surface
HISTORY = LoopHistory("orders", drifting().events)


@pytest.fixture
def report(tmp_path: Path) -> Path:
    path = tmp_path / "report.html"
    path.write_text(loop_page(overview(HISTORY, None), HISTORY, None), encoding="utf-8")
    return path


def test_it_draws_every_figure_without_another_file(page: Page, report: Path) -> None:
    errors: list[str] = []
    urls: list[str] = []
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.on("console", lambda message: errors.append(message.text) if message.type == "error" else None)
    page.on("request", lambda request: urls.append(request.url))
    page.goto(report.as_uri())
    expect(page.locator("[data-figure=plot] svg .line").first).to_be_attached()
    assert page.locator("[data-figure]:not(:has(svg))").count() == 0
    assert page.locator("[data-figure=intervals] .interval").count() > 0
    assert [url for url in urls if not url.startswith(("data:", report.as_uri()))] == []
    assert errors == []


def test_an_event_of_the_chain_opens_to_its_line(page: Page, report: Path) -> None:
    page.goto(report.as_uri())
    chain = page.locator("[data-figure=chain]").first
    chain.locator(".node", has_text="promoted").first.click()
    expect(chain.locator("output")).to_contain_text(newest_line(HISTORY.events.values(), "ChampionPromoted"))


@pytest.mark.parametrize("size", [DESKTOP, PHONE], ids=["desktop", "phone"])
@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_axe_reports_nothing_and_it_fits_the_screen(
    browser: Browser, report: Path, size: tuple[int, int], dark: bool
) -> None:
    with open_page(browser, size, dark=dark) as page:
        page.add_init_script(path=AXE)
        page.goto(report.as_uri())
        expect(page.locator("[data-figure=plot] svg").first).to_be_attached()
        assert axe_violations(page) == []
        assert page.evaluate("document.documentElement.scrollWidth") <= size[0]
