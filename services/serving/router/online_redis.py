"""Reads online features from Feast's Redis layout without Feast: one round trip per node for a batch of entities.

The marks of all nodes are read before the rows, so a row is never older than the watermark that is reported with it. It
may be newer, because no transaction covers several keys. `ViewRows.written_ms` shows that.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar, cast

import numpy as np
from numpy.typing import NDArray

from driftloop.featurestore.feast_keys import (
    pack_double,
    redis_field,
    redis_key,
    redis_time_field,
    unpack_time,
    unpack_value,
)
from driftloop.featurestore.online_address import OnlineAddress
from driftloop.featurestore.redis_marks import Mark, complete_up_to, mark_key
from driftloop.featurestore.redis_nodes import Command, Master, OnlineStoreUnavailable, RedisNodes
from services.serving.router.online import ViewRequest, ViewRows

_DOUBLE = np.dtype([("tag", "u1"), ("value", "<f8")])
_DOUBLE_TAG = 0x29
_MISSING = pack_double(0.0)[:1] + np.array(np.nan, "<f8").tobytes()

T = TypeVar("T")
Column = Sequence[bytes | None]
"""A field of k hashes."""


@dataclass(frozen=True)
class _Group:
    """Views that are read for the same entities, with one command per entity."""

    entity_keys: Sequence[bytes]
    views: Mapping[str, ViewRequest]

    def fields(self) -> Iterator[bytes]:
        for view, request in self.views.items():
            for name in (*request.numeric, *request.strings):
                yield redis_field(view, name)
            yield redis_time_field(view)


class OnlineRedis:
    """See `services.serving.router.online.OnlineFeatures`."""

    def __init__(self, address: OnlineAddress, loop: str, timeout_s: float = 2.0) -> None:
        self._nodes = RedisNodes(address, timeout_s=timeout_s)
        self._loop = loop
        self._join_keys: dict[str, tuple[str, ...]] = {}
        self._fields: dict[tuple[Any, ...], tuple[bytes, ...]] = {}

    def join_keys(self, view: str) -> tuple[str, ...] | None:
        if view not in self._join_keys:
            for mark in self._run_again_once(self._read_marks).values():
                self._join_keys |= mark.join_keys
        return self._join_keys.get(view)

    def read(self, wanted: Mapping[str, ViewRequest]) -> dict[str, ViewRows]:
        """Return each view's rows, in the order of the requested keys.

        Raises:
            OnlineStoreUnavailable: a node does not answer.
            ValueError: a stored value has another type than its feature.
        """
        return self._run_again_once(lambda: self._read(wanted))

    def written_ms(self, view: str, entity_keys: Sequence[bytes]) -> NDArray[np.int64]:
        """Return the time (ms) at which each entity's row became available, int64 [k], or -1 without a row."""
        rows = self.read({view: ViewRequest((), (), entity_keys)})[view]
        return cast(NDArray[np.int64], rows.written_ms)

    def watermarks(self) -> dict[str, int]:
        """Return the watermark (ms) of each view of the loop."""
        return _watermarks(self._run_again_once(self._read_marks))

    def close(self) -> None:
        self._nodes.close()

    def _run_again_once(self, read: Callable[[], T]) -> T:
        """Read a second time if a node is gone: the layout of a cluster may have changed since the last batch."""
        try:
            return read()
        except OnlineStoreUnavailable:
            self._nodes.refresh()
            return read()

    def _read_marks(self) -> dict[Master, Mark]:
        replies = self._nodes.run({master: [self._mark_command(master)] for master in self._nodes.masters})
        return {master: _mark(reply[0]) for master, reply in replies.items()}

    def _mark_command(self, master: Master) -> Command:
        return ("HGETALL", mark_key(self._loop, master))

    def _read(self, wanted: Mapping[str, ViewRequest]) -> dict[str, ViewRows]:
        groups = _grouped(wanted)
        masters = self._nodes.masters
        commands: dict[Master, list[Command]] = {master: [self._mark_command(master)] for master in masters}
        owners = []
        for group in groups:
            fields = self._group_fields(group)
            owners.append([self._nodes.owner(redis_key(key)) for key in group.entity_keys])
            for key, owner in zip(group.entity_keys, owners[-1], strict=True):
                commands[masters[owner]].append(("HMGET", redis_key(key), *fields))
        replies = self._nodes.run(commands)
        remaining = [iter(replies[master]) for master in masters]
        watermarks = _watermarks({master: _mark(next(remaining[master.number])) for master in masters})
        rows: dict[str, ViewRows] = {}
        for group, of_group in zip(groups, owners, strict=True):
            columns = list(zip(*(next(remaining[owner]) for owner in of_group), strict=True))
            for view, request in group.views.items():
                count = len(request.numeric) + len(request.strings) + 1
                rows[view] = _view_rows(watermarks.get(view), request, columns[:count])
                del columns[:count]
        return rows

    def _group_fields(self, group: _Group) -> tuple[bytes, ...]:
        identity = tuple((view, request.numeric, request.strings) for view, request in group.views.items())
        if identity not in self._fields:
            self._fields[identity] = tuple(group.fields())
        return self._fields[identity]


def _grouped(wanted: Mapping[str, ViewRequest]) -> list[_Group]:
    groups: dict[tuple[bytes, ...], dict[str, ViewRequest]] = {}
    for view, request in wanted.items():
        groups.setdefault(tuple(request.entity_keys), {})[view] = request
    return [_Group(keys, views) for keys, views in groups.items()]


def _mark(reply: Sequence[bytes]) -> Mark:
    return Mark.of(dict(zip(reply[::2], reply[1::2], strict=True)))


def _watermarks(marks: Mapping[Master, Mark]) -> dict[str, int]:
    return complete_up_to(mark.watermarks if mark.is_about(master) else {} for master, mark in marks.items())


def _view_rows(watermark_ms: int | None, request: ViewRequest, columns: Sequence[Column]) -> ViewRows:
    """Decode the columns of a view: numeric features, string features, time."""
    count = len(request.entity_keys)
    numeric = np.empty((count, len(request.numeric)))
    for number, column in enumerate(columns[: len(request.numeric)]):
        numeric[:, number] = _doubles(column)
    strings = np.empty((count, len(request.strings)), dtype=np.object_)
    for number, column in enumerate(columns[len(request.numeric) : -1]):
        strings[:, number] = _texts(column)
    return ViewRows(watermark_ms, numeric, strings, _times_ms(columns[-1]))


def _doubles(column: Column) -> NDArray[np.float64]:
    content = b"".join([value or _MISSING for value in column])
    if len(content) == len(column) * _DOUBLE.itemsize:
        doubles = np.frombuffer(content, dtype=_DOUBLE)
        if bool((doubles["tag"] == _DOUBLE_TAG).all()):
            return doubles["value"].astype(np.float64)
    raise ValueError("online store: the value of a numeric feature is not a double")


def _texts(column: Column) -> list[str]:
    texts = {packed: unpack_value(packed) if packed else None for packed in set(column)}
    return ["" if texts[packed] is None else str(texts[packed]) for packed in column]


def _times_ms(column: Column) -> NDArray[np.int64]:
    times = {packed: -1 if packed is None else unpack_time(packed) for packed in set(column)}
    return np.fromiter(map(times.__getitem__, column), np.int64, len(column))
