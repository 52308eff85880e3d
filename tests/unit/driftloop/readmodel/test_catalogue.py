"""The catalogue of lifecycle events covers every event and is the only place with their wording."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from driftloop.contracts import evaluation_pb2 as evaluation
from driftloop.contracts import registry_pb2 as registry
from driftloop.contracts.topics import message_class
from driftloop.events.envelope import Envelope, from_record
from driftloop.readmodel import catalogue
from driftloop.readmodel.catalogue import ENTRIES
from driftloop.readmodel.event_text import describe, entry_of, render, text_of, values_of
from tests.helpers.examples import examples

TEXTS = ("line", "title", "label", "sublabel", "summary")


def lifecycle_examples() -> list[Envelope[Any]]:
    """Return the good example records that are lifecycle events."""
    events = []
    for example in examples("good"):
        kind = message_class(dict(example.record.headers)["ce_type"].decode())
        if (kind.DESCRIPTOR.name, "") in ENTRIES or any(name == kind.DESCRIPTOR.name for name, _ in ENTRIES):
            events.append(from_record(example.record, [kind]))
    return events


EVENTS = lifecycle_examples()


def test_every_kind_in_the_catalogue_has_an_example() -> None:
    assert {event.data.DESCRIPTOR.name for event in EVENTS} == {kind for kind, _ in ENTRIES}


@pytest.mark.parametrize("event", EVENTS, ids=lambda event: event.type)
def test_every_text_renders_for_a_full_and_for_an_empty_message(event: Envelope[Any]) -> None:
    for data in (event.data, type(event.data)()):
        for field in TEXTS:
            text = text_of(data, field)
            assert "{" not in text
            assert "[[" not in text
        assert text_of(data, "line")
        assert text_of(data, "title")


@pytest.mark.parametrize("kind_and_outcome", ENTRIES)
def test_every_entry_renders_for_every_example_of_its_kind(
    kind_and_outcome: tuple[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    kind, _ = kind_and_outcome
    monkeypatch.setattr(catalogue, "ENTRIES", {(kind, ""): ENTRIES[kind_and_outcome]})
    for event in EVENTS:
        if event.data.DESCRIPTOR.name == kind:
            assert all("{" not in text_of(event.data, field) for field in TEXTS)


def test_an_optional_part_needs_all_its_fields() -> None:
    template = "a[[ {one} {two}||, none]][[{three!x} c]] d"
    assert render(template, {"one": "1", "two": "[[2]]", "three": True}) == "a 1 [[2]] c d"
    assert render(template, {"one": "1", "two": "", "three": False}) == "a, none d"
    assert render(template, {"one": 0, "two": 0.0, "three": None}) == "a 0 0.0 d"


@pytest.mark.parametrize(
    ("template", "text"),
    [
        ("{at!d}|{at!t}", "1970-01-02|1970-01-02 00:00"),
        ("{at!p}|{hours!p}|{minutes!p}", "24.0 hours|3.0 hours|90 minutes"),
        ("{words!q}", "two lines"),
    ],
)
def test_conversions(template: str, text: str) -> None:
    values = {"at": 86_400_000, "hours": 3 * 3_600_000, "minutes": 5_400_000, "words": "two\n  lines."}
    assert render(template, values) == text


@pytest.mark.parametrize(
    ("outcome", "limit", "glyph", "notable"),
    [
        (evaluation.BETTER, False, "better", True),
        (evaluation.WORSE, True, "worse", True),
        (evaluation.NOT_KNOWN_YET, True, "unknown", True),
        (evaluation.NOT_KNOWN_YET, False, "unknown", False),
    ],
)
def test_a_verdict_is_notable_if_it_decides(
    outcome: evaluation.Outcome, limit: bool, glyph: str, notable: bool
) -> None:
    data = evaluation.VerdictReached(release_id="r-2", stage="shadow", outcome=outcome, limit_reached=limit)
    assert (entry_of(data).glyph, entry_of(data).notable) == (glyph, notable)
    assert text_of(data, "line").endswith(", limit reached") == limit


def test_a_stage_that_ends_a_release_is_not_notable() -> None:
    stages = ("shadow", "canary", "champion", "rejected", "rolled-back", "retired")
    notable = [stage for stage in stages if entry_of(registry.StageEntered(stage=stage)).notable]
    assert notable == ["shadow", "canary"]


def test_one_changed_line_changes_the_text(monkeypatch: pytest.MonkeyPatch) -> None:
    entry = ENTRIES["RouteFailed", ""]
    monkeypatch.setitem(ENTRIES, ("RouteFailed", ""), replace(entry, line="route {epoch} does not work"))
    event = next(event for event in EVENTS if event.data.DESCRIPTOR.name == "RouteFailed")
    assert (describe(event) or "").endswith(f"route {event.data.epoch} does not work")
    assert values_of(event.data)["name"] == "route failed"
