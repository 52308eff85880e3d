"""Writes Feast's Redis online store, on one server or a Redis Cluster. docs/decisions/0017 explains the marks.

Rows of a watermark go to their nodes in one batch per node. Then each node's mark follows, in a second one. A script on
the node sets the mark only if the node is still in the state in which the rows reached it.
"""

from __future__ import annotations

import secrets
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha1
from itertools import chain
from typing import Any

from driftloop.featurestore.feast_keys import pack_time, redis_field, redis_key, redis_time_field
from driftloop.featurestore.online_address import OnlineAddress
from driftloop.featurestore.redis_marks import (
    Mark,
    complete_up_to,
    mark_key,
)
from driftloop.featurestore.redis_nodes import Command, Master, OnlineStoreUnavailable, RedisNodes
from driftloop.process import log
from driftloop.process.clock import Clock
from driftloop.process.errors import ConfigError, DriftloopError
from services.features.adapters.packing import KeyCache, packed
from services.features.domain.engine import Advance, FeatureRows
from services.features.domain.views import ViewSpec

_UPSERT = """
local function ms(packed)
    local fields, at = {0, 0}, 1
    while at <= #packed do
        local tag, value, scale = packed:byte(at), 0, 1
        repeat
            at = at + 1
            local byte = packed:byte(at)
            value = value + (byte % 128) * scale
            scale = scale * 128
        until byte < 128
        at = at + 1
        fields[tag == 8 and 1 or 2] = value
    end
    return fields[1] * 1000 + math.floor(fields[2] / 1000000)
end
local stored = redis.call('HGET', KEYS[1], ARGV[2])
if stored then
    if ms(stored) > tonumber(ARGV[1]) then return 0 end
    local names, changed = {}, false
    for at = 4, #ARGV, 2 do names[#names + 1] = ARGV[at] end
    for n, value in ipairs(redis.call('HMGET', KEYS[1], unpack(names))) do
        if value ~= ARGV[3 + 2 * n] then changed = true end
    end
    if not changed then return 0 end
end
redis.call('HSET', KEYS[1], unpack(ARGV, 2))
return 1
"""
"""Write a row unless the stored one is newer or has the same values. ARGV: UTC ms, then fields and values."""

_REPLICATION_ID = "string.match(redis.call('INFO', 'replication'), 'master_replid:(%x+)')"
_READ_MARK = f"return {{{_REPLICATION_ID}, redis.call('HGETALL', KEYS[1])}}"
_SET_MARK = f"""
if {_REPLICATION_ID} ~= ARGV[1] then return 'restarted' end
if (redis.call('HGET', KEYS[1], 'version') or '') ~= ARGV[2] then return 'changed' end
redis.call('DEL', KEYS[1])
redis.call('HSET', KEYS[1], unpack(ARGV, 3))
return 'set'
"""
"""Replace a mark. ARGV: replication id of the node and version of the mark before, then the new fields and values."""
_SCRIPTS = (_UPSERT, _READ_MARK, _SET_MARK)
_SHAS = {script: sha1(script.encode(), usedforsecurity=False).hexdigest() for script in _SCRIPTS}


_PAUSE_S = 0.2


class RowsLost(DriftloopError):
    """Redis lost rows that it had acknowledged, or another process writes them. A restart refills the store."""


@dataclass(frozen=True, slots=True)
class _NodeState:
    """``replication_id`` changes whenever a node starts or is promoted."""

    replication_id: bytes
    mark: Mark


@dataclass
class _KnownMark:
    """What this process knows about a node's mark."""

    slots: bytes
    """Slots that the node owned then."""
    mark: Mark
    """The mark as last read or set; without watermarks if it was about other slots."""
    proposed: dict[bytes, Mark]
    """By version: marks that were sent since then, and whose acknowledgement is missing."""


class RedisOnline:
    """See `services.features.ports.OnlineStore`. While Redis is not available, `write` repeats up to ``wait_s``."""

    def __init__(
        self,
        address: OnlineAddress,
        clock: Clock,
        stop: threading.Event,
        wait_s: float = 60.0,
        nodes_of: Callable[[OnlineAddress, Sequence[str]], RedisNodes] = RedisNodes,
    ) -> None:
        self._nodes = nodes_of(address, _SCRIPTS)
        self._clock = clock
        self._stop = stop
        self._wait_s = wait_s
        self._writer = secrets.token_hex(8)
        self._changes = 0
        self._keys = KeyCache()
        self._known: dict[str, dict[bytes, _KnownMark]] = {}
        """By loop and key of the mark."""

    def write(self, loop: str, views: Sequence[ViewSpec], advance: Advance) -> int:
        give_up_s = self._clock.monotonic_s() + self._wait_s
        while True:
            try:
                return self._write_once(loop, views, advance)
            except OnlineStoreUnavailable as error:
                if self._clock.monotonic_s() >= give_up_s or self._stop.wait(_PAUSE_S):
                    raise
                log.get(__name__).warning("online-store-unavailable", loop=loop, problem=str(error))

    def watermarks(self, loop: str) -> Mapping[str, int]:
        if loop not in self._known:
            self._nodes.refresh()
            self._refuse_eviction()
            self._known[loop] = self._read_marks(loop)
        return complete_up_to(known.mark.watermarks for known in self._known[loop].values())

    def check(self) -> None:
        try:
            for loop in list(self._known):
                self._nodes.refresh()
                commands = {master: [_read_mark(loop, master)] for master in self._nodes.masters}
                self._check_marks(loop, {m: _state(reply) for m, [reply] in self._nodes.run(commands).items()})
        except OnlineStoreUnavailable as error:  # the next step waits for it
            log.get(__name__).warning("online-store-unavailable", problem=str(error))

    def close(self) -> None:
        self._nodes.close()

    def _write_once(self, loop: str, views: Sequence[ViewSpec], advance: Advance) -> int:
        self._nodes.refresh()
        right = self.watermarks(loop)
        behind = {view.view for view in views if right.get(view.view, -1) < advance.watermark_ms}
        if not behind:
            return 0
        changed = [rows for rows in advance.views if rows.spec.view in behind]
        commands: dict[Master, list[Command]] = {m: [_read_mark(loop, m)] for m in self._nodes.masters}
        for rows in changed:
            self._add_rows(rows, commands)
        replies = self._nodes.run(commands)
        states = {master: _state(reply[0]) for master, reply in replies.items()}
        self._check_marks(loop, states)
        self._set_marks(loop, dict.fromkeys(behind, advance.watermark_ms), changed, states)
        return sum(len(rows.keys) for rows in changed)

    def _refuse_eviction(self) -> None:
        """Check that no node evicts rows, which would leave their mark in place.

        Raises:
            ConfigError: a node does.
        """
        replies = self._nodes.run({master: [("INFO", "memory")] for master in self._nodes.masters})
        for master, [reply] in replies.items():
            values = dict(line.split(":", 1) for line in reply.decode().splitlines() if ":" in line)
            policy = values.get("maxmemory_policy", "noeviction")
            if policy.startswith("allkeys") and values.get("maxmemory") != "0":
                problem = f"Redis at {master.name} has maxmemory-policy {policy}, which deletes features"
                raise ConfigError(f"online store: {problem}; set it to noeviction")

    def _read_marks(self, loop: str) -> dict[bytes, _KnownMark]:
        replies = self._nodes.run({master: [_read_mark(loop, master)] for master in self._nodes.masters})
        known = {}
        for master, [reply] in replies.items():
            mark = _state(reply).mark
            valid = mark if mark.is_about(master) else Mark(mark.version)
            known[mark_key(loop, master)] = _KnownMark(master.slots, valid, {})
        return known

    def _add_rows(self, rows: FeatureRows, commands: Mapping[Master, list[Command]]) -> None:
        view, masters = rows.spec.view, self._nodes.masters
        head = (rows.watermark_ms, redis_time_field(view), pack_time(rows.watermark_ms))
        fields = [redis_field(view, name) for name in rows.spec.features]
        keys = self._keys.serialized(rows.spec.feed.join_keys, rows.keys)
        for key, values in zip(map(redis_key, keys), zip(*map(packed, rows.columns), strict=True), strict=True):
            pairs = chain.from_iterable(zip(fields, values, strict=True))
            commands[masters[self._nodes.owner(key)]].append(("EVALSHA", _SHAS[_UPSERT], 1, key, *head, *pairs))

    def _check_marks(self, loop: str, states: Mapping[Master, _NodeState]) -> None:
        """Adopt marks of this process whose acknowledgement was missing.

        Raises:
            RowsLost: a node has another mark than this process set, or other slots.
        """
        for master, state in states.items():
            known = self._known[loop].get(mark_key(loop, master))
            if known is not None and known.slots == master.slots:
                known.mark = known.proposed.get(state.mark.version, known.mark)
                if known.mark.version == state.mark.version:
                    known.proposed.clear()
                    continue
            raise self._lost(loop, master)

    def _set_marks(
        self, loop: str, right: Mapping[str, int], changed: Sequence[FeatureRows], states: Mapping[Master, _NodeState]
    ) -> None:
        self._changes += 1
        version = f"{self._writer}:{self._changes}".encode()
        join_keys = {rows.spec.view: tuple(sorted(rows.spec.feed.join_keys)) for rows in changed if rows.keys}
        for known in self._known[loop].values():
            join_keys |= known.mark.join_keys
        commands: dict[Master, list[Command]] = {}
        for master, state in states.items():
            known = self._known[loop][mark_key(loop, master)]
            later = {view: max(at, known.mark.watermarks.get(view, at)) for view, at in right.items()}
            mark = Mark(version, master.slots, {**known.mark.watermarks, **later}, join_keys)
            known.proposed[version] = mark
            before = (state.replication_id, known.mark.version)
            commands[master] = [("EVALSHA", _SHAS[_SET_MARK], 1, mark_key(loop, master), *before, *mark.fields())]
        for master, [reply] in self._nodes.run(commands).items():
            known = self._known[loop][mark_key(loop, master)]
            if reply == b"changed":
                raise self._lost(loop, master)
            if reply == b"restarted":
                problem = f"Redis at {master.name} was restarted or replaced while rows were written"
                raise OnlineStoreUnavailable(f"online store: {problem}")
            known.mark = known.proposed.pop(version)
            known.proposed.clear()

    def _lost(self, loop: str, master: Master) -> RowsLost:
        del self._known[loop]
        problem = f"Redis at {master.name} no longer has the mark of {loop} that this process set"
        why = "a failover or a restart lost rows, slots moved, or another process writes them"
        return RowsLost(f"online store: {problem}: {why}; the next start fills the store from the offline views")


def _read_mark(loop: str, master: Master) -> Command:
    return ("EVALSHA", _SHAS[_READ_MARK], 1, mark_key(loop, master))


def _state(reply: Sequence[Any]) -> _NodeState:
    replication_id, content = reply
    return _NodeState(replication_id, Mark.of(dict(zip(content[::2], content[1::2], strict=True))))
