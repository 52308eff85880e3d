"""Clients of the in-memory broker that wait at gates, and the groups that share partitions among instances."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from driftloop.bus.ports import Outgoing, Record, TopicPartition
from driftloop.process.errors import Retriable
from tests.helpers.memory_broker import MemoryBroker
from tests.simulation.scheduler import Scheduler


@dataclass
class Faults:
    """How often the bus fails; 0 for never. The chaos part of a simulation sets it, the calm part clears it."""

    lost_acknowledgement: float = 0.0
    """Share of sends that are written but reported as failed."""
    failed_send: float = 0.0
    """Share of sends that are not written."""
    failed_commit: float = 0.0
    partial_poll: float = 0.0
    """Share of polls that return records of one partition only."""

    def clear(self) -> None:
        """End all faults."""
        self.lost_acknowledgement = self.failed_send = self.failed_commit = self.partial_poll = 0.0


class SimulatedBroker(MemoryBroker):
    """A broker with one partition per topic, which reports each record that is written."""

    size = 0
    """Number of records."""
    on_append: Callable[[Record], None] = staticmethod(lambda record: None)

    def append(self, records: Iterable[Outgoing]) -> None:
        for record in records:
            super().append([replace(record, partition=0)])
            self.size += 1
            self.on_append(self._logs[TopicPartition(record.topic, 0)][-1])

    def end_offset(self, partition: TopicPartition) -> int:
        """Return the offset after the newest record of a partition."""
        return len(self._logs[partition])


class Group:
    """A consumer group. Each partition belongs to one live member; a rebalance deals all of them again."""

    def __init__(self, scheduler: Scheduler, broker: SimulatedBroker, name: str, topics: Sequence[str]) -> None:
        self._scheduler = scheduler
        self._broker = broker
        self.name = name
        self.partitions = [TopicPartition(topic, p) for topic in topics for p in range(broker.partitions(topic))]
        self.members: list[SimulatedConsumer] = []
        self.rebalances = 0

    def rebalance(self) -> None:
        """Deal the partitions to the members at random. What a member has read and not committed is read again."""
        self.rebalances += 1
        committed = self._broker.committed(self.name)
        dealt: list[dict[TopicPartition, int]] = [{} for _ in self.members]
        for partition in self.partitions:
            if self.members:
                owner = self._scheduler.random.randrange(len(self.members))
                dealt[owner][partition] = committed.get(partition, 0)
        for member, positions in zip(self.members, dealt, strict=True):
            kept = {tp: member.positions[tp] for tp in positions.keys() & member.positions.keys()}
            member.positions = {tp: kept.get(tp, offset) for tp, offset in positions.items()}

    def unread(self) -> bool:
        """Return whether a record waits for a member, or for a group without members."""
        positions = dict(self._broker.committed(self.name))
        for member in self.members:
            positions.update(member.positions)
        return any(self._broker.end_offset(tp) > positions.get(tp, 0) for tp in self.partitions)


@dataclass(eq=False)
class SimulatedConsumer:
    """`driftloop.bus.ports.LifecycleConsumer` of one instance."""

    scheduler: Scheduler
    broker: SimulatedBroker
    group: Group
    faults: Faults
    positions: dict[TopicPartition, int] = field(default_factory=dict)
    is_started: bool = False
    _seen: tuple[int, int] = (-1, -1)
    """Records and rebalances of the group when nothing was left to read."""

    async def start(self) -> None:
        self.is_started = True
        self.join()

    def join(self) -> None:
        """Join the group, if this consumer has started and is not a member."""
        if self.is_started and self not in self.group.members:
            self.group.members.append(self)
            self.group.rebalance()

    def leave(self) -> None:
        """Leave the group, as a broker does with a member that does not answer."""
        if self in self.group.members:
            self.group.members.remove(self)
            self.positions = {}
            self.group.rebalance()

    async def poll(self, max_records: int, timeout_s: float) -> Sequence[Record]:
        records: Sequence[Record] = await self.scheduler.gate("poll", lambda: self._read(max_records), self._has_more)
        return records

    async def commit(self, positions: Mapping[TopicPartition, int]) -> None:
        await self.scheduler.gate("commit", lambda: self._commit(positions))

    async def stop(self) -> None: ...

    def _has_more(self) -> bool:
        if self._seen != (self.broker.size, self.group.rebalances):
            if any(self.broker.end_offset(tp) > at for tp, at in self.positions.items()):
                return True
            self._seen = self.broker.size, self.group.rebalances
        return False

    def _read(self, max_records: int) -> list[Record]:
        random = self.scheduler.random
        positions = self.positions
        if random.random() < self.faults.partial_poll:
            waiting = [tp for tp, at in positions.items() if self.broker.end_offset(tp) > at]
            if waiting:
                one = random.choice(waiting)
                positions = {one: positions[one]}
                max_records = min(max_records, random.randint(1, 3))
        read = dict(positions)
        records = self.broker.read(read, max_records, 0.0)
        self.positions.update(read)
        return records

    def _commit(self, positions: Mapping[TopicPartition, int]) -> None:
        if self.scheduler.random.random() < self.faults.failed_commit:
            raise Retriable("the group rebalanced")
        self.broker.commit(self.group.name, {tp: at for tp, at in positions.items() if tp in self.positions})


@dataclass
class SimulatedProducer:
    """`driftloop.bus.ports.LifecycleProducer` of one instance."""

    scheduler: Scheduler
    broker: SimulatedBroker
    faults: Faults

    async def start(self) -> None: ...

    async def send(self, records: Sequence[Outgoing]) -> None:
        await self.scheduler.gate("send", lambda: self._write(records))
        await self.scheduler.gate("acknowledge")

    async def stop(self) -> None: ...

    def _write(self, records: Sequence[Outgoing]) -> None:
        chance = self.scheduler.random.random()
        if chance < self.faults.failed_send:
            self.broker.append(records[: self.scheduler.random.randint(0, len(records) - 1)])
            raise Retriable("the broker did not answer")
        self.broker.append(records)
        if chance < self.faults.failed_send + self.faults.lost_acknowledgement:
            raise Retriable("the acknowledgement was lost")
