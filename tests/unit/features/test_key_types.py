"""A join key has one type in the event, in Feast, in requests and in training, or the loop is refused."""

from __future__ import annotations

from dataclasses import replace
from itertools import product
from typing import Any

import pyarrow as pa
import pytest
import yaml
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
from google.protobuf.message import Message
from pydantic import ValidationError

from driftloop.loop import Loop, LoopDefinition, load_loop
from driftloop.process.settings import ROOT
from services.features.domain.events import Arrived
from services.features.domain.key_types import key_type_problems
from services.features.domain.views import Feed, KeyKind, Latest, ViewSpec

PROTO = {"string": 9, "int64": 3, "int32": 5, "uint32": 13, "double": 1, "float": 2, "bool": 8}
ARROW = {
    "string": pa.string(), "int64": pa.int64(), "int32": pa.int32(), "uint32": pa.int64(), "double": pa.float64(),
    "float": pa.float32(), "bool": pa.bool_(),
}  # fmt: skip


def message(kind: str) -> type[Message]:
    """Return a message whose field ``shop`` has a type."""
    file = descriptor_pb2.FileDescriptorProto(name=f"{kind}.proto", package=kind, syntax="proto3")
    declared = file.message_type.add(name="Placed")
    declared.field.add(name="shop", number=1, type=PROTO[kind], label=1)
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return message_factory.GetMessageClass(pool.FindMessageTypeByName(f"{kind}.Placed"))


def loop_with(sent: str, written: str) -> Loop:
    """Return the orders loop with a join key ``shop`` sent as the input ``store`` and read from the event's field."""
    loop = load_loop(ROOT / "tests" / "loops" / "orders")
    data = yaml.safe_load((loop.folder / "loop.yaml").read_text())
    data["prediction"]["inputs"]["store"]["type"] = sent
    messages = {**loop.messages, "orders.placed": message(written)}
    changed = replace(loop, definition=LoopDefinition.model_validate(data))
    changed.__dict__["messages"] = messages  # a cached property
    return changed


def view(kind: KeyKind) -> ViewSpec:
    return ViewSpec("v", Feed("orders.placed", ("shop",)), (kind,), latest=(Latest("x", "double"),))


@pytest.mark.parametrize(("stored", "sent", "written"), list(product(["string", "int64"], ["string", "int64"], PROTO)))
def test_every_mix_of_types_is_refused(stored: KeyKind, sent: str, written: str) -> None:
    same = "int64" if written in ("int32", "uint32") else written
    problems = list(key_type_problems(loop_with(sent, written), [view(stored)]))
    assert bool(problems) == (not stored == sent == same)
    assert any("but a request has it as" in problem for problem in problems) == (sent != stored)
    assert any("but training reads it from 'shop'" in problem for problem in problems) == (same != stored)


def test_a_double_is_no_join_key() -> None:
    with pytest.raises(ValidationError, match="'store' is a double; a join key is a string or an int64"):
        loop_with("double", "double")


@pytest.mark.parametrize(("stored", "written"), list(product(["string", "int64"], ARROW)))
def test_the_engine_takes_no_key_of_another_type(stored: str, written: str) -> None:
    kind = ARROW[written]
    values: Any = ["7"] if written == "string" else [1]
    batch = pa.record_batch(
        {
            "shop": pa.array(values).cast(kind),
            "event_time_ms": [1],
            "arrival_watermark_ms": [0],
            "source_partition": [0],
            "source_offset": [0],
        }
    )
    if (stored == "string") == (written == "string") and written not in ("double", "float", "bool"):
        assert Arrived(batch).values("shop", ARROW[stored]) == values
    else:
        with pytest.raises(pa.ArrowInvalid, match="the join key shop is a"):
            Arrived(batch).values("shop", ARROW[stored])
