"""No code depends on the text of an event: opaque texts change no colour, glyph, outcome or notice id."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from driftloop.contracts import control_api_pb2 as api
from driftloop.events.envelope import Envelope
from driftloop.ops.cli.timeline import line
from driftloop.ops.report.figures import marks_of
from driftloop.readmodel import catalogue, page_components
from driftloop.readmodel.catalogue import ENTRIES, Entry
from driftloop.readmodel.event_text import describe
from services.control import messages
from services.control.domain.notices import notice_of
from services.control.ports import Stored
from services.control.web import routes
from tests.unit.control.notify.events import example
from tests.unit.driftloop.readmodel.test_catalogue import EVENTS

SCRIPTS = [*(routes.STATIC / "js").glob("*.js"), *page_components.FOLDER.glob("*.js")]
WORD_CHECK = re.compile(
    r"\.(?:exec|test)\(|\.(?:line|title|label|sublabel|next|text)\b\s*\.(?:match|search|includes|startsWith|indexOf|replace)\("
)


def opaque(entry: Entry) -> Entry:
    """Return an entry with meaningless texts."""
    notice = entry.notice and replace(entry.notice, title="zzz", text="zzz")
    mark = entry.mark and "zzz"
    return replace(entry, line="zzz", title="zzz", label="zzz", sublabel="zzz", summary="", mark=mark, notice=notice)


def choices(event: Envelope[Any]) -> list[Any]:
    """Return what the command line, page, report and notices choose for an event, without its texts."""
    shown = messages.event(Stored(1, event), payload=False)
    notice, notable = notice_of(event), describe(event) is not None
    colours = [(part.colour, part.dim) for part in line(shown, with_loop=False)]
    return [
        (shown.kind, shown.outcome, shown.stage, shown.severity, shown.glyph, shown.notable),
        colours,
        [mark["glyph"] for mark in marks_of([event])],
        (notice.kind, notice.notice_id) if notice else None,
        notable,
    ]


def test_opaque_texts_change_no_choice(monkeypatch: pytest.MonkeyPatch) -> None:
    before = [choices(event) for event in EVENTS]
    monkeypatch.setattr(catalogue, "ENTRIES", {name: opaque(entry) for name, entry in ENTRIES.items()})
    assert [choices(event) for event in EVENTS] == before


def test_one_changed_line_changes_command_line_page_report_and_notice(monkeypatch: pytest.MonkeyPatch) -> None:
    event = example("serving.route-failed.v1")
    entry = ENTRIES["RouteFailed", ""]
    monkeypatch.setitem(ENTRIES, ("RouteFailed", ""), replace(entry, line="zzz {epoch}"))
    expected = f"zzz {event.data.epoch}"
    shown = messages.event(Stored(1, event), payload=False)
    notice = notice_of(event)
    assert shown.line == expected
    assert expected in [part.text for part in line(shown, with_loop=True)]
    assert (describe(event) or "").endswith(expected)
    assert notice is not None
    assert expected in notice.text


def test_the_command_line_colours_by_severity() -> None:
    events = {name: api.Event(line="zzz", severity=name) for name in ("info", "alarm", "good")}
    colours = {name: line(event, with_loop=False)[-1].colour for name, event in events.items()}
    assert colours == {"info": None, "alarm": "red", "good": "green"}


@pytest.mark.parametrize("script", sorted(SCRIPTS), ids=lambda path: path.name)
def test_no_script_of_the_page_searches_event_text(script: Path) -> None:
    assert not WORD_CHECK.search(script.read_text())
