"""What a person does on the page, in a real browser over the real service."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Locator, Page, expect

from driftloop.contracts import monitoring_pb2 as monitoring
from driftloop.contracts import registry_pb2 as registry
from driftloop.contracts import training_pb2 as training
from driftloop.readmodel.event_text import describe_data
from tests.browser.chromium import DESKTOP, PHONE, open_page
from tests.browser.fixtures import FIRST, PENDING, SECOND, history_without_champion
from tests.browser.harness import PageHarness
from tests.helpers.event_lines import newest_line

pytestmark = pytest.mark.surface
AXE = Path(__file__).parent / "vendor" / "axe.min.js"
LOOP_PAGE = "/#/loop/orders"
CHAIN_PAGE = "/#/chain/orders:drift"


def open_view(page: Page, url: str) -> None:
    """Open an address and wait until the page is connected and has loaded its data."""
    page.goto(url)
    expect_text(page.locator(".connection"), "live")
    expect(page.locator("main")).not_to_contain_text("Loading…")


def expect_text(locator: Locator, text: str) -> None:
    expect(locator).to_contain_text(text, use_inner_text=True)


def button(within: Page | Locator, text: str) -> Locator:
    return within.get_by_role("button", name=text, exact=True)


def dialog(page: Page) -> Locator:
    return page.get_by_role("dialog")


def confirm(page: Page, why: str, text: str) -> None:
    """Fill in the open dialog and press its confirming button."""
    dialog(page).locator("#who").fill("anna")
    dialog(page).locator("#why").fill(why)
    button(dialog(page), text).click()


def mark(page: Page) -> None:
    """Mark the document, so that `expect_mark` detects a reload."""
    page.evaluate("window.marked = true")


def expect_mark(page: Page) -> None:
    assert page.evaluate("window.marked") is True


def problems(page: Page) -> list[str]:
    """Return the errors in the page's console."""
    console = [message.text for message in page.console_messages() if message.type == "error"]
    return [*console, *map(str, page.page_errors())]


def test_the_overview_shows_champion_challenger_drift_and_next_step(harness: PageHarness, page: Page) -> None:
    open_view(page, harness.url)
    card = page.locator("[aria-labelledby=loop-orders]")
    for text in (
        "When a parcel leaves a shop, how many of its items will come back?",
        f"{SECOND} since 6 Apr 2024", f"{PENDING} in shadow", "4 blocks of 4 to 12",
        "passed: +0.0204 [+0.0049, +0.0362]", "returns: 5.76 > 4 over 10 blocks on 30 Mar 2024",
        f"Decide on {PENDING}", "waits for approval",
    ):  # fmt: skip
        expect_text(card, text)
    assert problems(page) == []


def test_a_loop_without_a_champion_and_a_loop_without_events_say_so(harness: PageHarness, page: Page) -> None:
    open_view(page, harness.url)
    parcels = page.locator("[aria-labelledby=loop-parcels]")
    expect_text(parcels, "none yet")
    expect_text(parcels, "the first champion is trained once there are enough events")
    expect_text(page.locator("[aria-labelledby=loop-returns]"), "no events yet")
    page.goto(f"{harness.url}/#/loop/returns")
    for text in ("No window has outcomes", "No window of a champion", "No release has a verdict", "Nothing was live"):
        expect_text(page.locator("main"), text)
    assert problems(page) == []


def test_without_loops_the_page_says_how_to_create_one(tmp_path: Path, page: Page) -> None:
    harness = PageHarness(tmp_path, [], [])
    try:
        open_view(page, harness.url)
        expect_text(page.locator("main"), "There are no loops yet")
        expect_text(page.locator("main"), "driftloop init")
    finally:
        harness.stop()


def test_new_events_appear_without_a_reload(harness: PageHarness, page: Page) -> None:
    open_view(page, f"{harness.url}/#/chain/orders:command")
    mark(page)
    nodes = page.locator("[data-node]")
    before = nodes.count()
    harness.history.enter_stage(PENDING, "canary", "command", f"shadow {PENDING} 4", "better in shadow")
    harness.publish(3)
    expect(nodes).to_have_count(before + 3)
    expect_text(page.locator("main"), newest_line(harness.history.events, "StageEntered"))
    page.goto(f"{harness.url}/#/")
    expect_text(page.locator("main"), f"{PENDING} in canary, answers 20% of keys")
    expect_text(page.locator(".happened"), newest_line(harness.history.events, "RouteConverged"))
    expect_mark(page)


def test_a_lost_connection_is_reported_and_restored_without_missing_events(harness: PageHarness, page: Page) -> None:
    open_view(page, harness.url + LOOP_PAGE)
    mark(page)
    harness.stop()
    expect_text(page.locator(".connection"), "connection lost")
    expect_text(page.get_by_role("alert"), "What you see is from")
    expect_text(page.locator(".state"), PENDING)
    harness.history.enter_stage(PENDING, "canary", "command", f"shadow {PENDING} 4", "better in shadow")
    harness.publish(3)
    harness.start()
    expect_text(page.locator(".connection"), "live")
    expect_text(page.locator(".state"), f"{PENDING} in canary")
    expect(page.get_by_role("alert")).to_have_count(0)
    expect_mark(page)


def test_a_page_opened_early_waits_for_the_read_model(harness: PageHarness, page: Page) -> None:
    assert harness.running is not None
    harness.running.hide_read_model = True
    page.goto(harness.url)
    expect_text(page.locator("main"), "the read model is being built")
    harness.running.hide_read_model = False
    expect_text(page.locator("main"), PENDING)
    expect_text(page.locator(".connection"), "live")


def test_an_approval_is_confirmed_then_sent_once_and_shows_its_effect(harness: PageHarness, page: Page) -> None:
    open_view(page, harness.url + LOOP_PAGE)
    button(page, "Approve").click()
    expect_text(dialog(page), f"{PENDING} moves to canary and answers 20% of keys. {SECOND} stays champion.")
    assert not harness.control.broker.records("control.approve.v1")
    confirm(page, "looked at its slices", f"Approve {PENDING}")
    command = harness.sent_command("approve")
    assert (command.data.release_id, command.data.who, command.data.why) == (PENDING, "anna", "looked at its slices")
    expect_text(dialog(page), describe_data(command.data))
    harness.enter_stage_after(command, PENDING, "canary")
    expect_text(dialog(page).locator(".outcome.done"), f"Route 8 answers: champion {SECOND}, challenger {PENDING}")
    dialog(page).get_by_text("Close", exact=True).click()
    expect_text(page.locator(".state"), f"{PENDING} in canary, answers 20% of keys")
    expect(page.locator("main")).not_to_contain_text("Approve", use_inner_text=True)
    assert len(harness.control.broker.records("control.approve.v1")) == 1
    assert problems(page) == []


def test_a_rejection_ends_the_release(harness: PageHarness, page: Page) -> None:
    open_view(page, harness.url + LOOP_PAGE)
    button(page, "Reject").click()
    confirm(page, "worse for small shops", f"Reject {PENDING}")
    command = harness.sent_command("reject")
    assert (command.data.release_id, command.data.why) == (PENDING, "worse for small shops")
    harness.enter_stage_after(command, PENDING, "rejected")
    expect_text(dialog(page).locator(".outcome.done"), f"Route 8 answers: champion {SECOND}")
    page.keyboard.press("Escape")
    expect_text(page.locator(".state"), "none")
    expect_text(page.locator(".history"), "by anna: worse for small shops")


def test_a_rollback_names_the_previous_champion_and_shows_when_it_answers(harness: PageHarness, page: Page) -> None:
    harness.history.enter_stage(PENDING, "rejected", "command", f"shadow {PENDING} 4", "by itself")
    harness.publish(4)
    open_view(page, harness.url + LOOP_PAGE)
    expect_text(page.locator(".state"), "none")
    button(page, "Roll back").click()
    expect_text(dialog(page), f"{SECOND} is rolled back. {FIRST}, the previous champion, answers every request again.")
    confirm(page, "complaints from the shops", "Roll back orders")
    command = harness.sent_command("rollback")
    assert command.data.why == "complaints from the shops"
    harness.roll_back_after(command, SECOND, FIRST)
    expect_text(dialog(page).locator(".outcome.done"), f"Route 9 answers: champion {FIRST}")
    page.keyboard.press("Escape")
    expect_text(page.locator(".state"), f"{FIRST} since")


def test_a_loop_is_paused_and_resumed(harness: PageHarness, page: Page) -> None:
    open_view(page, harness.url + LOOP_PAGE)
    button(page, "Pause").click()
    expect_text(dialog(page), "orders stops automatic training and promotion")
    confirm(page, "stocktaking", "Pause orders")
    expect_text(dialog(page).locator(".outcome.done"), "Paused.")
    page.keyboard.press("Escape")
    expect_text(page.locator(".title .badges"), "paused")
    assert harness.sent_command("pause").data.why == "stocktaking"
    button(page, "Resume").click()
    expect(dialog(page).locator("#who")).to_have_value("anna")
    confirm(page, "it is over", "Resume orders")
    expect_text(dialog(page).locator(".outcome.done"), "Resumed.")
    harness.sent_command("resume")


def test_a_command_needs_who_and_why(harness: PageHarness, page: Page) -> None:
    open_view(page, harness.url + LOOP_PAGE)
    button(page, "Pause").click()
    pause = button(dialog(page), "Pause orders")
    expect(pause).to_be_disabled()
    expect(dialog(page).locator("#who")).to_be_focused()
    page.keyboard.insert_text("anna")
    page.keyboard.press("Tab")
    expect(dialog(page).locator("#who")).to_have_value("anna")
    expect(pause).to_be_disabled()
    page.keyboard.insert_text("stocktaking")
    expect(pause).to_be_enabled()
    button(dialog(page), "Cancel").click()
    expect(dialog(page)).to_have_count(0)
    assert not harness.control.broker.records("control.pause.v1")


def test_a_refused_command_shows_the_reason(harness: PageHarness, page: Page) -> None:
    open_view(page, harness.url + LOOP_PAGE)
    button(page, "Approve").click()
    harness.history.enter_stage(PENDING, "rejected", "command", f"shadow {PENDING} 4", "by itself")
    harness.publish(4)
    expect_text(page.locator(".state"), "none")
    confirm(page, "looked at its slices", f"Approve {PENDING}")
    expect_text(dialog(page).get_by_role("alert"), "does not wait for an approval")
    expect(button(dialog(page), f"Approve {PENDING}")).to_be_enabled()
    assert not harness.control.broker.records("control.approve.v1")


def test_a_command_without_effect_shows_the_reason(harness: PageHarness, page: Page) -> None:
    open_view(page, harness.url + LOOP_PAGE)
    button(page, "Approve").click()
    confirm(page, "looked at its slices", f"Approve {PENDING}")
    harness.ignore(harness.sent_command("approve"), "approve", "the policy has decided")
    expect_text(dialog(page).locator(".outcome.failed"), "the policy has decided")


def test_a_command_retried_after_a_lost_connection_is_sent_once(harness: PageHarness, page: Page) -> None:
    open_view(page, harness.url + LOOP_PAGE)
    button(page, "Pause").click()
    expect(dialog(page)).to_be_visible()
    harness.stop()
    confirm(page, "stocktaking", "Pause orders")
    expect_text(dialog(page).get_by_role("alert"), "does not answer")
    harness.start()
    expect_text(page.locator(".connection"), "live")
    button(dialog(page), "Pause orders").click()
    expect_text(dialog(page).locator(".outcome.done"), "Paused.")
    assert len(harness.control.broker.records("control.pause.v1")) == 1


def test_a_node_of_the_chain_opens_its_event(harness: PageHarness, page: Page) -> None:
    open_view(page, harness.url + CHAIN_PAGE)
    expect_text(page.locator("main"), newest_line(harness.history.events, "DriftDetected", "orders:drift"))
    expect(page.locator(".lane-name")).to_have_text(["monitoring", "training", "evaluation", "registry", "serving"])
    nodes = page.locator("[data-node]")
    expect(page.locator(".edge")).to_have_count(nodes.count() - 1)  # every event but the alarm has a cause
    nodes.first.click()
    expect_text(dialog(page).locator("pre"), '"detector": "returns"')
    dialog(page).locator("summary").first.click()
    dialog(page).locator(".ids button").first.click()
    expect_text(dialog(page).locator("h2"), "window closed")


def test_the_keyboard_alone_is_enough(harness: PageHarness, page: Page) -> None:
    focused = page.locator(":focus")
    requested, promoted = (
        re.compile(re.escape(newest_line(harness.history.events, kind, "orders:drift")))
        for kind in ("RetrainRequested", "ChampionPromoted")
    )
    open_view(page, harness.url + CHAIN_PAGE)
    page.locator("[data-node]").first.focus()
    for key in ("ArrowRight", "ArrowRight", "ArrowLeft"):
        page.keyboard.press(key)
    expect(focused).to_have_attribute("aria-label", requested)
    page.keyboard.press("Enter")
    expect_text(dialog(page).locator("h2"), "retrain requested")
    page.keyboard.press("Escape")
    expect(dialog(page)).to_have_count(0)
    expect(focused).to_have_attribute("aria-label", requested)
    page.keyboard.press("End")
    expect(focused).to_have_attribute("aria-label", promoted)

    open_view(page, harness.url + LOOP_PAGE)
    page.locator(".plot [tabindex]").first.focus()
    readout = page.locator(".readout").first
    last = readout.inner_text()
    page.keyboard.press("ArrowLeft")
    expect(readout).not_to_have_text(last, use_inner_text=True)

    button(page, "Pause").focus()
    page.keyboard.press("Enter")
    expect(dialog(page).locator("#who")).to_be_focused()
    page.keyboard.insert_text("anna")
    page.keyboard.press("Tab")
    page.keyboard.insert_text("stocktaking")
    page.keyboard.press("Tab")
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    expect_text(dialog(page).locator(".outcome.done"), "Paused.")
    expect(focused).to_have_text("Close")
    page.keyboard.press("Enter")
    expect(dialog(page)).to_have_count(0)


def test_the_plots_show_loss_by_release_and_drift_of_chosen_inputs(harness: PageHarness, page: Page) -> None:
    open_view(page, harness.url + LOOP_PAGE)
    expect_text(page.locator("main"), "Mean Poisson deviance")
    quality, drift, *_ = page.locator(".legend").all_inner_texts()
    assert quality.split()[:2] == [FIRST, SECOND]
    assert set(drift.split()) == {"lines", "basket_cents", "score"}
    page.locator(".chooser summary").click()
    page.locator(".options label").filter(has_text="7d").first.click()
    expect_text(page.locator(".plot:has([aria-label*=Drift]) .legend"), "_7d")
    numbers = page.locator(".numbers").nth(1)
    numbers.locator("summary").click()
    expect(numbers.locator("tbody tr")).to_have_count(51)


@pytest.mark.parametrize("size", [DESKTOP, PHONE], ids=["desktop", "phone"])
@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_axe_reports_nothing_and_every_view_fits_the_screen(
    harness: PageHarness, browser: Browser, size: tuple[int, int], dark: bool
) -> None:
    with open_page(browser, size, dark=dark) as page:
        page.add_init_script(path=AXE)
        for path in ("/", LOOP_PAGE, CHAIN_PAGE, "/#/loop/returns"):
            open_view(page, harness.url + path)
            assert axe_violations(page) == [], path
            assert page.evaluate("document.documentElement.scrollWidth") <= size[0]
        open_view(page, harness.url + LOOP_PAGE)
        button(page, "Approve").click()
        expect(dialog(page).locator("#who")).to_be_visible()
        assert axe_violations(page) == []
        page.keyboard.press("Escape")
        page.locator(".news button").first.click()
        expect(dialog(page).locator("pre")).to_be_visible()
        assert axe_violations(page) == []


def axe_violations(page: Page) -> list[Any]:
    """Return the rule, impact and elements of every violation, whatever its impact."""
    violations = page.evaluate("axe.run().then((result) => result.violations)")
    return [
        (violation["id"], violation["impact"], [node["html"][:160] for node in violation["nodes"]])
        for violation in violations
    ]


def test_the_page_sends_requests_to_its_own_server_only(harness: PageHarness, page: Page) -> None:
    urls: list[str] = []
    page.on("request", lambda request: urls.append(request.url))
    for path in ("/", LOOP_PAGE, CHAIN_PAGE):
        open_view(page, harness.url + path)
    assert urls
    assert [url for url in urls if not url.startswith(harness.url)] == []
    assert problems(page) == []


def test_the_first_window_of_a_loop_appears_without_a_reload(harness: PageHarness, page: Page) -> None:
    open_view(page, harness.url)
    mark(page)
    harness.control.publish(history_without_champion("returns").events)
    expect_text(page.locator("[aria-labelledby=loop-returns]"), "no champion yet")
    expect_mark(page)


def test_markup_in_an_event_is_shown_as_text(harness: PageHarness, page: Page) -> None:
    text = "<img src=x onerror=alert(1)><script>window.hurt = 1</script>"
    data = registry.ReleaseRejected(release_id=PENDING, stage="shadow", reason=text)
    harness.history.add("hostile", data, "command")
    harness.publish(1)
    open_view(page, harness.url)
    expect_text(page.locator(".happened"), text[:20])
    assert page.evaluate("window.hurt") is None
    expect(page.locator("main img")).to_have_count(0)


def test_slices_show_the_champions_quality_or_that_there_are_too_few_outcomes(page: Page, harness: PageHarness) -> None:
    open_view(page, harness.url + LOOP_PAGE)
    rows = page.locator("table.slices tbody tr")
    expect(rows).to_have_count(3)
    expect_text(rows.nth(0), "all")
    expect_text(rows.nth(1), "0.8000")
    expect_text(rows.nth(2), "+0.1000")
    expect_text(page.locator("main"), "1 slice has fewer outcomes than min_rows")


def test_an_open_breaker_what_it_keeps_and_silent_detectors_are_shown(page: Page, harness: PageHarness) -> None:
    log = history_without_champion("parcels")
    before = len(log.events)
    for number in range(3):
        reason = training.Reason(kind="first-champion", event_id=f"parcels:window {number}", detail="no champion yet")
        asked = training.RetrainRequested(request_id=f"q{number}", reasons=[reason], failures=number, breaker=3)
        log.add(f"asked {number}", asked, f"chain {number}")
        failed = training.RunFailed(
            request_id=f"q{number}", run_id=f"run-{number}", reason="error", detail="KeyError: a"
        )
        log.add(f"failed {number}", failed, f"chain {number}", f"asked {number}")
    kept = training.Reason(kind="first-champion", event_id="parcels:later", detail="no champion yet")
    log.add("kept", training.ReasonCoalesced(reason=kept, because="breaker"), "later")
    silent = monitoring.SilentDetector(detector="returns", windows=6, rows=48, min_rows=100)
    decided = monitoring.WindowDecided(window_id="x", end_ms=10**13, decider="detectors", silent=[silent])
    log.add("decided", decided, "x")
    harness.control.publish(log.events[before:])
    open_view(page, harness.url + "/#/loop/parcels")
    expect_text(page.locator(".summary .asks").first, "The breaker is open after 3 failures in a row")
    expect_text(page.locator(".summary .asks").first, "driftloop retrain parcels --why ...")
    expect_text(page.locator(".summary .asks").nth(1), "detector returns has not judged the last 6 windows")


def test_a_reason_that_is_kept_while_a_release_waits_for_approval_is_shown(page: Page, harness: PageHarness) -> None:
    reason = training.Reason(kind="drift", event_id="orders:later", event_time_ms=1_714_521_600_000, detail="loss")
    harness.history.add("kept", training.ReasonCoalesced(reason=reason, because="release-open"), "later")
    harness.publish(1)
    open_view(page, harness.url + LOOP_PAGE)
    expect_text(page.locator(".summary .asks"), "Kept until it is promoted or ends: drift of 1 May 2024.")
