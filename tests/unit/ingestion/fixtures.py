"""A loop of orders, written to a folder: every kind of field, a derived column, two entities, a label."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import orjson
from google.protobuf import descriptor_pb2
from google.protobuf.message import Message

from driftloop.bus.ports import Outgoing
from driftloop.loop import Loop, load_loop
from tests.helpers.memory_broker import MemoryBroker

PLACED = "orders.placed"
PAID = "orders.paid"
HOUR_MS = 3_600_000
START_MS = 400_000 * HOUR_MS

_LOOP = """
loop: {name}
description: What will an order bring?
events:
  {prefix}orders.placed:
    message: shop.v1.Placed
    id: uid
    key: order_id
    time: placed_ms
    rules:
      shop: {{required: true, enum: [north, south, "häfen"], max_length: 5}}
      amount: {{min: 0, max: 1000}}
      count: {{required: true, min: 1}}
      note: {{max_length: 4}}
    derive:
      everywhere: "'all'"
      dear: "CASE WHEN amount > 100 THEN 1.0 ELSE 0.0 END"
      inverse: "100 // count"
    feeds: [[everywhere], [shop, buyer]]
    partitions: 2
  {prefix}orders.paid:
    message: shop.v1.Paid
    id: event_id
    key: order_id
    time: event_time_ms
    feeds: [[shop]]
    partitions: 2
time: {{lateness: 1h, max_advance: 2d, idle_timeout: 30s, duplicate_window: 1d, max_record_bytes: 4096}}
prediction:
  key: order_id
  from: {prefix}orders.placed
  decision_time: {{column: placed_ms, offset: 1h}}
  clock: request
  feature_service: orders_v1
  max_feature_age: 6h
  inputs: {{shop: {{type: string}}}}
  join_keys: {{shop: {{input: shop}}}}
label: {{from: {prefix}orders.paid, key: order_id, value: paid, kind: regression, horizon: 36h}}
training:
  first_champion_after: 10d
  window: {{first_champion: 9d, drift: 9d, schedule: 9d, command: 9d}}
  validation: 2d
rollout: {{steps: [{{stage: shadow, min_blocks: 2, max_blocks: 3}}]}}
"""

_TYPES = descriptor_pb2.FieldDescriptorProto
_PLACED = {
    "uid": _TYPES.TYPE_STRING,
    "placed_ms": _TYPES.TYPE_INT64,
    "order_id": _TYPES.TYPE_INT64,
    "shop": _TYPES.TYPE_STRING,
    "buyer": _TYPES.TYPE_STRING,
    "amount": _TYPES.TYPE_DOUBLE,
    "count": _TYPES.TYPE_INT32,
    "express_way": _TYPES.TYPE_BOOL,
    "note": _TYPES.TYPE_STRING,
    "weight": _TYPES.TYPE_DOUBLE,
    "size": _TYPES.TYPE_UINT32,
    "ratio": _TYPES.TYPE_FLOAT,
    "total": _TYPES.TYPE_INT64,
}
_PAID = {
    "event_id": _TYPES.TYPE_STRING,
    "event_time_ms": _TYPES.TYPE_INT64,
    "order_id": _TYPES.TYPE_STRING,
    "shop": _TYPES.TYPE_STRING,
    "paid": _TYPES.TYPE_INT64,
}
_OPTIONAL = {"count", "note", "weight", "total", "paid"}


def write_loop(folder: Path, name: str = "orders", prefix: str = "", replace: tuple[str, str] = ("", "")) -> Loop:
    """The loop, read back from its files. ``replace`` changes its text first."""
    loop_folder = folder / name
    loop_folder.mkdir(parents=True)
    (loop_folder / "loop.yaml").write_text(_LOOP.format(name=name, prefix=prefix).replace(*replace).lstrip())
    (loop_folder / "events.binpb").write_bytes(_descriptors().SerializeToString())
    return load_loop(loop_folder)


def _descriptors() -> descriptor_pb2.FileDescriptorSet:
    file = descriptor_pb2.FileDescriptorProto(name="shop/v1/events.proto", package="shop.v1", syntax="proto3")
    for name, fields in (("Placed", _PLACED), ("Paid", _PAID)):
        _add_message(file, name, fields)
    return descriptor_pb2.FileDescriptorSet(file=[file])


def _add_message(file: descriptor_pb2.FileDescriptorProto, name: str, fields: dict[str, Any]) -> None:
    message = file.message_type.add(name=name)
    for number, (column, kind) in enumerate(fields.items(), start=1):
        added = message.field.add(name=column, number=number, type=kind, label=_TYPES.LABEL_OPTIONAL)
        if column in _OPTIONAL:
            added.proto3_optional = True
            added.oneof_index = len(message.oneof_decl)
            message.oneof_decl.add(name=f"_{column}")


def placed(uid: str, hours: float = 0.0, **fields: Any) -> dict[str, Any]:
    """An order, so many hours after `START_MS`."""
    basic = {"uid": uid, "placed_ms": START_MS + round(hours * HOUR_MS), "order_id": 7, "shop": "north", "buyer": "b1"}
    return {**basic, "amount": 12.5, "count": 2, **fields}


def paid(uid: str, hours: float = 0.0, **fields: Any) -> dict[str, Any]:
    """What it brought."""
    return {
        "event_id": uid,
        "event_time_ms": START_MS + round(hours * HOUR_MS),
        "order_id": "7",
        "shop": "n",
        "paid": 3,
        **fields,
    }


@dataclass
class Producer:
    """Writes raw events."""

    broker: MemoryBroker
    loop: Loop
    prefix: str = ""
    sent: list[Outgoing] = field(default_factory=list)

    def json(self, topic: str, event: dict[str, Any], partition: int = 0) -> None:
        """A line of JSON, with neither key nor header."""
        self.raw(topic, orjson.dumps(event), partition)

    def protobuf(self, topic: str, event: dict[str, Any], partition: int = 0) -> None:
        """A message, with its content type."""
        message: Message = self.loop.messages[self.prefix + topic](**event)
        self.raw(topic, message.SerializeToString(), partition, (("content-type", b"application/protobuf"),))

    def raw(
        self, topic: str, value: bytes | None, partition: int = 0, headers: tuple[tuple[str, bytes], ...] = ()
    ) -> None:
        """Any bytes."""
        self.broker.append([Outgoing(self.prefix + topic, value, None, headers, partition)])

    def watermark(self, hours: float, *partitions: tuple[str, int]) -> None:
        """A watermark so many hours after `START_MS`, to every partition unless some are named."""
        at = str(START_MS + round(hours * HOUR_MS)).encode()
        for topic, partition in partitions or [(t, p) for t in (PLACED, PAID) for p in (0, 1)]:
            self.raw(topic, None, partition, (("driftloop-watermark", at),))
