"""What a person does on the page, in a real browser over the real service."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from driftloop.contracts import registry_pb2 as registry
from tests.browser.chromium import Tab
from tests.browser.fixtures import FIRST, SECOND, WAITS, beginning
from tests.browser.harness import PageHarness

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.surface]
AXE = Path(__file__).parent / "vendor" / "axe.min.js"
LOOP_PAGE = "/#/loop/orders"
SCREENS = {"desktop": (1280, 900), "phone": (390, 844)}


async def shown(tab: Tab, address: str) -> None:
    """The page at an address, with all that it asked for, connected."""
    await tab.open(address)
    await tab.sees("live", ".connection")
    await tab.until("!document.querySelector('main').innerText.includes('Loading…')")


async def answered(tab: Tab, why: str, confirm: str) -> None:
    """Say who and why in the dialog, and confirm."""
    await tab.until("document.querySelector('dialog[open] #who')")
    await tab.evaluate("document.querySelector('#who').focus()")
    await tab.write("anna")
    await tab.evaluate("document.querySelector('#why').focus()")
    await tab.write(why)
    await tab.button(confirm, "document.querySelector('dialog[open]')")


async def test_a_newcomer_sees_who_answers_who_is_judged_and_what_to_do(harness: PageHarness, tab: Tab) -> None:
    await shown(tab, harness.web)
    for said in (
        "When a parcel leaves a shop, how many of its items will come back?",
        f"{SECOND} since 6 Apr 2024", f"{WAITS} in shadow", "4 blocks of 4 to 12", "passed: +0.0204 [+0.0049, +0.0362]",
        "returns: 5.76 > 4 over 10 blocks on 30 Mar 2024", f"Decide on {WAITS}", "waits for you",
    ):  # fmt: skip
        await tab.sees(said, "[aria-labelledby=loop-orders]")
    assert tab.problems == []


async def test_a_loop_without_a_champion_and_one_without_events_say_so(harness: PageHarness, tab: Tab) -> None:
    await shown(tab, harness.web)
    await tab.sees("nobody answers yet", "[aria-labelledby=loop-parcels]")
    await tab.sees("the first champion is trained once there are events enough", "[aria-labelledby=loop-parcels]")
    await tab.sees("no events yet", "[aria-labelledby=loop-returns]")
    await tab.open(f"{harness.web}/#/loop/returns")
    for said in ("No window has outcomes", "No window of a champion", "No release was judged", "Nothing was live"):
        await tab.sees(said)
    assert tab.problems == []


async def test_where_there_is_no_loop_the_page_says_how_to_make_one(tmp_path: Path, tab: Tab) -> None:
    harness = PageHarness(tmp_path, [], [])
    try:
        await shown(tab, harness.web)
        await tab.sees("No loop is here yet")
        await tab.sees("driftloop init")
    finally:
        harness.stop()


async def test_what_happens_shows_without_a_reload(harness: PageHarness, tab: Tab) -> None:
    await shown(tab, f"{harness.web}/#/chain/orders:command")
    await tab.evaluate("window.stayed = true")
    before = await tab.evaluate("document.querySelectorAll('[data-node]').length")
    harness.season.enters(WAITS, "canary", "command", f"shadow {WAITS} 4", "better in shadow")
    harness.told(3)
    await tab.until(f"document.querySelectorAll('[data-node]').length === {before + 3}")
    await tab.sees(f"{WAITS} enters canary, answers 20% of keys", ".chain")
    await tab.open(f"{harness.web}/#/")
    await tab.sees(f"{WAITS} in canary, answers 20% of keys")
    await tab.sees("route 8 answers", ".happened")
    assert await tab.evaluate("window.stayed")


async def test_a_lost_connection_is_told_and_mends_itself_and_nothing_is_missed(harness: PageHarness, tab: Tab) -> None:
    await shown(tab, harness.web + LOOP_PAGE)
    await tab.evaluate("window.stayed = true")
    harness.stop()
    await tab.sees("connection lost", ".connection")
    await tab.sees("What you see is from", "[role=alert]")
    await tab.sees(WAITS, ".state")
    harness.season.enters(WAITS, "canary", "command", f"shadow {WAITS} 4", "better in shadow")
    harness.told(3)
    harness.start()
    await tab.sees("live", ".connection")
    await tab.sees(f"{WAITS} in canary", ".state")
    assert not await tab.evaluate("Boolean(document.querySelector('[role=alert]'))")
    assert await tab.evaluate("window.stayed")


async def test_a_page_opened_too_early_waits_for_the_read_model(harness: PageHarness, tab: Tab) -> None:
    assert harness.running is not None
    caught_up, harness.running.page._caught_up = harness.running.page._caught_up, lambda: False
    await tab.open(harness.web)
    await tab.sees("the read model is being made")
    harness.running.page._caught_up = caught_up
    await tab.sees(WAITS)
    await tab.sees("live", ".connection")


async def test_an_approval_is_asked_about_sent_once_and_its_effect_is_shown(harness: PageHarness, tab: Tab) -> None:
    await shown(tab, harness.web + LOOP_PAGE)
    await tab.button("Approve")
    await tab.sees(f"{WAITS} goes on to canary and answers 20% of keys. {SECOND} stays champion.", "dialog[open]")
    assert not harness.harness.broker.records("control.approve.v1")
    await answered(tab, "looked at its slices", f"Approve {WAITS}")
    command = harness.commanded("approve")
    assert (command.data.release_id, command.data.who, command.data.why) == (WAITS, "anna", "looked at its slices")
    await tab.sees("anna says approve", "dialog[open]")
    harness.follows(command, WAITS, "canary")
    await tab.sees(f"Route 8 answers: champion {SECOND}, challenger {WAITS}", "dialog[open] .outcome.done")
    await tab.button("Close", "document.querySelector('dialog[open]')")
    await tab.sees(f"{WAITS} in canary, answers 20% of keys", ".state")
    assert not await tab.evaluate("document.querySelector('main').innerText.includes('Approve')")
    assert len(harness.harness.broker.records("control.approve.v1")) == 1
    assert tab.problems == []


async def test_a_rejection_ends_the_release(harness: PageHarness, tab: Tab) -> None:
    await shown(tab, harness.web + LOOP_PAGE)
    await tab.button("Reject")
    await answered(tab, "worse for small shops", f"Reject {WAITS}")
    command = harness.commanded("reject")
    assert (command.data.release_id, command.data.why) == (WAITS, "worse for small shops")
    harness.follows(command, WAITS, "rejected")
    await tab.sees(f"Route 8 answers: champion {SECOND}", "dialog[open] .outcome.done")
    await tab.press("Escape")
    await tab.sees("none is judged", ".state")
    await tab.sees("by anna: worse for small shops", ".history")


async def test_a_rollback_says_who_comes_back_and_shows_that_it_answers(harness: PageHarness, tab: Tab) -> None:
    harness.season.enters(WAITS, "rejected", "command", f"shadow {WAITS} 4", "by itself")
    harness.told(4)
    await shown(tab, harness.web + LOOP_PAGE)
    await tab.sees("none is judged", ".state")
    await tab.button("Roll back")
    await tab.sees(f"{SECOND} is taken back. {FIRST}, champion before it, answers every request again.", "dialog[open]")
    await answered(tab, "complaints from the shops", "Roll back orders")
    command = harness.commanded("rollback")
    assert command.data.why == "complaints from the shops"
    harness.takes_back(command, SECOND, FIRST)
    await tab.sees(f"Route 9 answers: champion {FIRST}", "dialog[open] .outcome.done")
    await tab.press("Escape")
    await tab.sees(f"{FIRST} since", ".state")


async def test_a_pause_and_its_end(harness: PageHarness, tab: Tab) -> None:
    await shown(tab, harness.web + LOOP_PAGE)
    await tab.button("Pause")
    await tab.sees("Nothing is trained or promoted in orders by itself", "dialog[open]")
    await answered(tab, "stocktaking", "Pause orders")
    await tab.sees("Paused.", "dialog[open] .outcome.done")
    await tab.press("Escape")
    await tab.sees("paused", ".title .badges")
    assert harness.commanded("pause").data.why == "stocktaking"
    await tab.button("Resume")
    await tab.until("document.querySelector('dialog[open] #who')?.value === 'anna'")
    await answered(tab, "it is over", "Resume orders")
    await tab.sees("Resumed.", "dialog[open] .outcome.done")
    harness.commanded("resume")


async def test_who_and_why_must_be_said(harness: PageHarness, tab: Tab) -> None:
    await shown(tab, harness.web + LOOP_PAGE)
    await tab.button("Pause")
    confirm = (
        "[...document.querySelectorAll('dialog[open] button')].find((it) => it.innerText.trim() === 'Pause orders')"
    )
    await tab.until(f"{confirm}?.disabled && document.activeElement.id === 'who'")
    await tab.write("anna")
    await tab.press("Tab")
    assert await tab.evaluate(f"{confirm}.disabled")
    await tab.write("stocktaking")
    await tab.until(f"!{confirm}.disabled")
    await tab.button("Cancel")
    await tab.until("!document.querySelector('dialog')")
    assert not harness.harness.broker.records("control.pause.v1")


async def test_a_refusal_is_told_in_words_and_may_be_tried_again(harness: PageHarness, tab: Tab) -> None:
    await shown(tab, harness.web + LOOP_PAGE)
    await tab.button("Approve")
    harness.season.enters(WAITS, "rejected", "command", f"shadow {WAITS} 4", "by itself")
    harness.told(4)
    await tab.sees("none is judged", ".state")
    await answered(tab, "looked at its slices", f"Approve {WAITS}")
    await tab.sees("does not wait for an approval", "dialog[open] [role=alert]")
    assert not harness.harness.broker.records("control.approve.v1")


async def test_a_command_that_changed_nothing_says_why(harness: PageHarness, tab: Tab) -> None:
    await shown(tab, harness.web + LOOP_PAGE)
    await tab.button("Approve")
    await answered(tab, "looked at its slices", f"Approve {WAITS}")
    harness.ignored(harness.commanded("approve"), "approve", "the policy has decided")
    await tab.sees("the policy has decided", "dialog[open] .outcome.failed")


async def test_a_command_while_nobody_answers_is_sent_once_when_tried_again(harness: PageHarness, tab: Tab) -> None:
    await shown(tab, harness.web + LOOP_PAGE)
    await tab.button("Pause")
    await tab.until("document.querySelector('dialog[open] #who')")
    harness.stop()
    await answered(tab, "stocktaking", "Pause orders")
    await tab.sees("does not answer", "dialog[open] [role=alert]")
    harness.start()
    await tab.sees("live", ".connection")
    await tab.button("Pause orders", "document.querySelector('dialog[open]')")
    await tab.sees("Paused.", "dialog[open] .outcome.done")
    assert len(harness.harness.broker.records("control.pause.v1")) == 1


async def test_a_node_of_the_chain_opens_its_event(harness: PageHarness, tab: Tab) -> None:
    await shown(tab, f"{harness.web}/#/chain/orders:drift")
    await tab.sees("ALARM returns: 5.76 > 4 over 10 blocks")
    lanes = await tab.evaluate("[...document.querySelectorAll('.lane-name')].map((it) => it.textContent)")
    assert lanes == ["monitoring", "training", "evaluation", "registry", "serving"]
    edges = await tab.evaluate("document.querySelectorAll('.edge').length")
    nodes = await tab.evaluate("document.querySelectorAll('[data-node]').length")
    assert edges == nodes - 1  # all but the alarm were led to by something
    await tab.click("document.querySelector('[data-node]')")
    await tab.sees('"detector": "returns"', "dialog[open] pre")
    await tab.click("document.querySelector('dialog[open] summary')")
    await tab.click("document.querySelector('dialog[open] .ids button')")
    await tab.sees("window closed", "dialog[open] h2")


async def test_all_of_it_works_by_keyboard(harness: PageHarness, tab: Tab) -> None:
    await shown(tab, f"{harness.web}/#/chain/orders:drift")
    await tab.evaluate("document.querySelector('[data-node]').focus()")
    for key in ("ArrowRight", "ArrowRight", "ArrowLeft"):
        await tab.press(key)
    assert "training asked for" in await tab.evaluate("document.activeElement.getAttribute('aria-label')")
    await tab.press("Enter")
    await tab.sees("retrain requested", "dialog[open] h2")
    await tab.press("Escape")
    await tab.until("!document.querySelector('dialog')")
    assert "training asked for" in await tab.evaluate("document.activeElement.getAttribute('aria-label') ?? ''")
    await tab.press("End")
    assert "PROMOTED" in await tab.evaluate("document.activeElement.getAttribute('aria-label')")
    await tab.open(harness.web + LOOP_PAGE)
    await tab.until("document.querySelector('.plot [tabindex]')")
    await tab.evaluate("document.querySelector('.plot [tabindex]').focus()")
    last = await tab.evaluate("document.querySelector('.readout').innerText")
    await tab.press("ArrowLeft")
    await tab.until(f"document.querySelector('.readout').innerText !== {json.dumps(last)}")
    await tab.evaluate("[...document.querySelectorAll('button')].find((it) => it.innerText.trim() === 'Pause').focus()")
    await tab.press("Enter")
    await tab.until("document.activeElement.id === 'who'")
    await tab.write("anna")
    await tab.press("Tab")
    await tab.write("stocktaking")
    await tab.press("Tab")
    await tab.press("Tab")
    await tab.press("Enter")
    await tab.sees("Paused.", "dialog[open] .outcome.done")
    await tab.until("document.activeElement.innerText === 'Close'")
    await tab.press("Enter")
    await tab.until("!document.querySelector('dialog')")


async def test_the_plots_tell_loss_by_release_and_drift_by_chosen_input(harness: PageHarness, tab: Tab) -> None:
    await shown(tab, harness.web + LOOP_PAGE)
    await tab.sees("Mean Poisson deviance")
    legends = await tab.evaluate(
        "[...document.querySelectorAll('.legend')].map((it) => it.innerText.trim().split(/\\s+/))"
    )
    assert legends[0][:2] == [FIRST, SECOND]
    assert set(legends[1]) == {"lines", "basket_cents", "score"}
    await tab.click("document.querySelector('.chooser summary')")
    await tab.click("[...document.querySelectorAll('.options label')].find((it) => it.innerText.includes('7d'))")
    await tab.sees("_7d", ".plot:has([aria-label*=Drift]) .legend")
    await tab.click("document.querySelectorAll('.numbers summary')[1]")
    await tab.until("document.querySelectorAll('.numbers')[1].querySelectorAll('tbody tr').length === 51")


@pytest.mark.parametrize("screen", SCREENS)
@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
async def test_axe_finds_no_fault_and_nothing_is_wider_than_the_screen(
    harness: PageHarness, tab: Tab, screen: str, dark: bool
) -> None:
    width, height = SCREENS[screen]
    await tab.look(width=width, height=height, dark=dark)
    for place in ("/", LOOP_PAGE, "/#/chain/orders:drift", "/#/loop/returns"):
        await shown(tab, harness.web + place)
        assert await faults(tab) == [], place
        assert await tab.evaluate("document.documentElement.scrollWidth") <= width
    await shown(tab, harness.web + LOOP_PAGE)
    await tab.button("Approve")
    await tab.until("document.querySelector('dialog[open] #who')")
    assert await faults(tab) == []
    await tab.press("Escape")
    await tab.click("document.querySelector('.news button')")
    await tab.until("document.querySelector('dialog[open] pre')")
    assert await faults(tab) == []


async def faults(tab: Tab) -> list[Any]:
    """What axe finds, of whatever weight."""
    if not await tab.evaluate("Boolean(window.axe)"):
        await tab.evaluate(AXE.read_text())
    found = await tab.evaluate("axe.run().then((it) => it.violations)")
    return [(each["id"], each["impact"], [node["html"][:160] for node in each["nodes"]]) for each in found]


async def test_the_page_asks_nobody_but_its_own_server(harness: PageHarness, tab: Tab) -> None:
    for place in ("/", LOOP_PAGE, "/#/chain/orders:drift"):
        await shown(tab, harness.web + place)
    assert tab.asked
    assert {each for each in tab.asked if not each.startswith(harness.web)} <= {"about:blank"}
    assert tab.problems == []


async def test_a_new_loop_and_its_first_window_appear_by_themselves(harness: PageHarness, tab: Tab) -> None:
    await shown(tab, harness.web)
    harness.harness.tell(beginning("returns").events)
    await tab.sees("no champion yet", "[aria-labelledby=loop-returns]")


async def test_hostile_text_stays_text(harness: PageHarness, tab: Tab) -> None:
    text = "<img src=x onerror=alert(1)><script>window.hurt = 1</script>"
    data = registry.ReleaseRejected(release_id=WAITS, stage="shadow", reason=text)
    harness.season.tell("hostile", data, "command")
    harness.told(1)
    await shown(tab, harness.web)
    await tab.sees(text[:20], ".happened")
    assert not await tab.evaluate("window.hurt")
    assert not await tab.evaluate("document.querySelectorAll('main img').length")
