"""The chain of causes, as boxes and arrows."""

from __future__ import annotations

from xml.etree import ElementTree

from driftloop.contracts import control_pb2 as control
from driftloop.ops.report.picture import Box, boxes, draw
from driftloop.readmodel.attempts import attempts, incidents
from tests.helpers.lifecycle import LifecycleEvents, drifting


def of(life: LifecycleEvents) -> list[Box]:
    return boxes(incidents(life.events, attempts(life.events))[-1], life.events)


def test_it_runs_from_the_evidence_to_the_promotion() -> None:
    titles = [box.caption.title for box in of(drifting())]
    assert titles[:5] == [
        "4 windows closed", "alarm: returns", "retrain requested: drift", "run started", "candidate trained",
    ]  # fmt: skip
    assert titles[-2:] == ["promoted: r-c", "route 6 answers"]


def test_every_box_but_the_first_has_its_cause_above_it() -> None:
    found = of(drifting())
    above: set[str] = set()
    for box in found:
        assert not above or set(box.causes) & above, box.caption
        above.add(box.event_id)


def test_verdicts_that_decided_nothing_are_left_out() -> None:
    life = drifting()
    shadow = next(each for each in life.events if each.type.endswith("StageEntered") and each.data.release_id == "r-c")
    before = of(life)
    life.verdict(26, "c", shadow, "shadow", "NOT_KNOWN_YET")
    assert of(life) == before


def test_a_persons_command_is_in_it() -> None:
    life = LifecycleEvents()
    life.window(0, "r-a")
    alarm, command = life.alarm(1, "r-a", blocks=1), life.command(1, control.Retrain(who="anna", why="prices"))
    request = life.request(1, "c", alarm, command)
    found = {box.event_id: box for box in of(life)}
    assert found[command.id].caption.title == "anna: retrain"
    assert set(found[request.id].causes) == {alarm.id, command.id}


def test_an_alarm_alone_is_one_box() -> None:
    life = LifecycleEvents()
    life.alarm(1, "r-a")
    assert [box.caption.title for box in of(life)] == ["alarm: returns"]


def test_the_picture_is_sound_svg_that_says_in_words_what_it_shows() -> None:
    found = of(drifting())
    tree = ElementTree.fromstring(draw(found))
    names = [each.tag.rpartition("}")[2] for each in tree]
    assert names[:2] == ["title", "desc"]
    assert names.count("rect") == len(found)
    assert "candidate trained" in (tree[1].text or "")


def test_what_comes_from_events_is_escaped() -> None:
    life = LifecycleEvents()
    life.window(0, "r-a")
    life.request(1, "c", life.alarm(1, "r-a", detector="<script>", blocks=1))
    drawn = draw(of(life))
    assert "<script>" not in drawn
    assert "&lt;script&gt;" in drawn
