from __future__ import annotations

from driftloop.bus.ports import Record
from driftloop.events.probe import probe_headers
from driftloop.loop import Loop, load_loop
from driftloop.ops.checks.raw import recount
from driftloop.process.settings import ROOT

PLACED = "orders.placed"
SECRET = "of this system"  # of the tests
FIELDS = {"uid": "u1", "at_ms": 1000, "order_ref": "o1", "shop": "s1", "channel": "web", "lines": 1}


def test_a_probe_is_not_counted_as_row_duplicate_dead_letter_or_watermark() -> None:
    loop = load_loop(ROOT / "tests" / "loops" / "orders")

    def placed(offset: int, **changed: object) -> Record:
        fields = {**FIELDS, **changed}
        value = loop.messages[PLACED](**fields).SerializeToString()
        return Record(PLACED, 0, offset, None, value, probe_headers("p1", value, SECRET) if offset < 4 else ())

    mark = Record(PLACED, 0, 3, None, None, (("driftloop-watermark", b"7"), *probe_headers("p1", b"", SECRET)))
    records = [placed(0), placed(1, channel="pigeon"), placed(2), mark, placed(4), placed(5, lines=0)]
    result = recount(records, loop, SECRET)
    assert [(row["event_id"], row["arrival_watermark_ms"]) for row in result.accepted[PLACED]] == [("u1", -(2**63))]
    assert (result.invalid, result.duplicates) == ({f"{PLACED}/0/5"}, 0)


def test_an_outcome_of_an_unknown_class_is_a_dead_letter() -> None:
    loop = load_loop(ROOT / "tests" / "loops" / "orders")
    label = loop.definition.label.model_copy(update={"kind": "multiclass", "classes": ("none", "one", "two")})
    of_classes = Loop(loop.definition.model_copy(update={"label": label}), loop.folder)
    name = "orders.inspected"

    def inspected(offset: int, returned: int) -> Record:
        message = loop.messages[name](uid=f"u{offset}", at_ms=1000, order_ref="o1", shop="s1", returned=returned)
        return Record(name, 0, offset, None, message.SerializeToString(), ())

    records = [inspected(0, 2), inspected(1, 3)]
    assert recount(records, of_classes, SECRET).invalid == {f"{name}/0/1"}
    assert recount(records, loop, SECRET).invalid == set()
