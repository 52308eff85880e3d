"""The mark of a Redis node: how far the rows on it are complete. docs/decisions/0017 explains why it can be trusted.

Every master has one hash per loop, on a key that it owns. The writer sets it after the node has acknowledged all rows
before it. A loop's watermark of a view is the least over all masters.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from driftloop.featurestore.feast_keys import PROJECT
from driftloop.featurestore.redis_nodes import Master

VERSION, SLOTS = b"version", b"slots"


@dataclass(frozen=True, slots=True)
class Mark:
    """The mark of a node for one loop."""

    version: bytes = b""
    """Unique per change; empty if the node has no mark."""
    slots: bytes = b""
    """Slots that the node owned when the mark was set. The mark says nothing about others."""
    watermarks: Mapping[str, int] = field(default_factory=dict)
    """UTC ms by view."""
    join_keys: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """Join keys of each view that has rows, in the order of serialised entity keys."""

    @classmethod
    def of(cls, content: Mapping[bytes, bytes]) -> Mark:
        """Return the mark with this content of its hash."""
        watermarks, join_keys = {}, {}
        for name, value in content.items():
            kind, _, view = name.decode().partition(":")
            if kind == "w":
                watermarks[view] = int(value)
            elif kind == "k":
                join_keys[view] = tuple(value.decode().split("\0"))
        return cls(content.get(VERSION, b""), content.get(SLOTS, b""), watermarks, join_keys)

    def fields(self) -> list[bytes]:
        """Return the content of the hash: fields and values in turn."""
        pairs = [VERSION, self.version, SLOTS, self.slots]
        for view, watermark_ms in self.watermarks.items():
            pairs += [f"w:{view}".encode(), b"%d" % watermark_ms]
        for view, names in self.join_keys.items():
            pairs += [f"k:{view}".encode(), "\0".join(names).encode()]
        return pairs

    def is_about(self, master: Master) -> bool:
        """Return whether the mark speaks of the slots that the node owns now."""
        return self.version != b"" and self.slots == master.slots


def mark_key(loop: str, master: Master) -> bytes:
    """Return the key of a node's mark, which the node owns."""
    return b"%s:marks:{%s}:%s" % (PROJECT.encode(), master.tag, loop.encode())


def complete_up_to(marks: Iterable[Mapping[str, int]]) -> dict[str, int]:
    """Return the least watermark of each view over all nodes; a view that one node lacks is not complete at all."""
    first, *others = marks
    views = set(first).intersection(*others)
    return {view: min(mark[view] for mark in (first, *others)) for view in views}
