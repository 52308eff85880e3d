"""A model of the watermark protocol of several prediction writers, and a search through all of its interleavings.

`docs/decisions/0015-prediction-watermarks-carry-their-writer.md` states the protocol. The model has writers (a Triton
with its agent and spool), the partitions of the prediction log, the features' watermark and monitoring. Records of one
partition keep their order. Nothing else is ordered: any process may take its next step at any time, or die.

Window ``k`` holds the decision times from ``k`` up to ``k + 1``. Monitoring closes it at watermark ``k + 1``.

Monitoring reads the partitions at any speed, so it may stop in each of them at the place with the highest watermark. It
can close a window as soon as each partition has, or had, a high enough watermark. The search therefore keeps only the
highest watermark of each partition, instead of all positions of the reader. For the same reason a spool is shipped as
late as the rules allow: an earlier shipment can only help. And writers that differ only in their number are the same.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import IntEnum
from typing import NamedTuple


class Life(IntEnum):
    """What the process of a writer does."""

    NEW = 0
    """It never ran."""
    JOINING = 1
    OPEN = 2
    """It answers."""
    LEAVING = 3
    DEAD = 4
    DRAINED = 5
    """Its process is dead, and another process ships its spool and then leaves for it."""
    GONE = 6
    """It has left every partition."""


class Kept(NamedTuple):
    """A prediction in a spool."""

    partition: int
    window: int
    before: bool
    """Whether it was answered before the agent saw its newest watermark."""
    given_up: bool
    """Whether its writer was given up after it answered. Nobody promises anything about it."""


class Writer(NamedTuple):
    """A writer. Its spool and its number of starts outlive its process."""

    life: Life = Life.NEW
    start: int = 0
    """Number of the process; each start joins with a new one."""
    joined: int = 0
    """Partitions that have the join of this start."""
    seen: int = 0
    """The features' watermark that the agent has seen."""
    spool: tuple[Kept, ...] = ()
    marked: int = 0
    """Partitions that have the agent's newest watermark."""
    left: int = 0
    """Partitions that have its leave."""
    is_given_up: bool = False
    """Whether this start was given up."""
    giving_up: int = -1
    """Partitions that have the record which gives up ``given_start``; -1 if there is none."""
    given_start: int = 0


NONE = -1
"""The watermark of a writer that has joined and written none yet."""


class Join(NamedTuple):
    writer: int
    start: int


class Mark(NamedTuple):
    writer: int
    start: int
    watermark: int


class Leave(NamedTuple):
    writer: int
    start: int


class GiveUp(NamedTuple):
    writer: int
    start: int


Record = Join | Mark | Leave | GiveUp


class Member(NamedTuple):
    """A writer that is open in a partition, after all its records."""

    start: int = 0
    watermark: int = NONE


class State(NamedTuple):
    """All processes and the log."""

    features: int
    writers: tuple[Writer, ...]
    members: tuple[tuple[Member | None, ...], ...]
    """By partition and writer; None if it is not open there."""
    reached: tuple[int, ...]
    """By partition: the highest watermark after any of its records."""
    late: frozenset[tuple[int, int]]
    """Writer and window of predictions that follow a watermark after their window in their partition."""
    answers: int
    deaths: int
    leaves: int
    gifts: int
    """How often a writer may still answer, die, leave and be given up."""


class Broken(AssertionError):
    """A property of the protocol does not hold."""


@dataclass(frozen=True)
class Rules:
    """The rules of the protocol. A test removes one at a time."""

    joins_before_answers: bool = True
    catches_up_before_answers: bool = True
    ships_before_marks: bool = True
    marks_every_partition: bool = True
    ships_before_leaving: bool = True
    takes_least_writer: bool = True
    takes_least_partition: bool = True
    waits_for_joined: bool = True
    dead_stay_open: bool = True
    joins_at_every_start: bool = True
    gives_up_one_start: bool = True
    drains_or_gives_up: bool = True
    given_up_start_again: bool = True


@dataclass(frozen=True)
class Bounds:
    """The size of a search."""

    writers: int = 2
    partitions: int = 2
    windows: int = 1
    answers: int = 1
    deaths: int = 1
    leaves: int = 1
    gifts: int = 1


_TOWARDS_REST = frozenset(("joins", "opens", "sees", "marks", "leaves", "starts again", "is given up here"))


class Protocol:
    """The steps of the protocol under some rules."""

    def __init__(self, rules: Rules, bounds: Bounds) -> None:
        self._rules = rules
        self._bounds = bounds
        self._partitions = range(bounds.partitions)
        self._rest: set[tuple[State, bool]] = set()
        """States from which all windows close."""

    def first(self) -> State:
        """Return the state in which no writer runs."""
        bounds = self._bounds
        nobody = (None,) * bounds.writers
        return State(
            0,
            (Writer(),) * bounds.writers,
            (nobody,) * bounds.partitions,
            (0,) * bounds.partitions,
            frozenset(),
            bounds.answers,
            bounds.deaths,
            bounds.leaves,
            bounds.gifts,
        )

    def steps(self, state: State) -> Iterator[tuple[str, State]]:
        """Yield each possible next step.

        Raises:
            Broken: a writer answers in a closed window.
        """
        if state.features < self._bounds.windows:
            yield "the features advance", state._replace(features=state.features + 1)
        for number, writer in enumerate(state.writers):
            for label, after in self._steps_of(state, number, writer):
                yield f"writer {number} {label}", after

    def closed(self, state: State) -> int:
        """Return the watermark up to which monitoring may have closed windows."""
        return min(state.reached) if self._rules.takes_least_partition else max(state.reached)

    def check(self, state: State) -> None:
        """Check that no window can be closed before all its predictions are read.

        Raises:
            Broken: one can.
        """
        closed = self.closed(state)
        for number, window in state.late:
            if window < closed:
                raise Broken(f"window {window} can close before a prediction of writer {number} is read")
        for number, writer in enumerate(state.writers):
            if any(kept.window < closed and not kept.given_up for kept in writer.spool):
                raise Broken(
                    f"a window before {closed} can close; a prediction of it is in the spool of writer {number}"
                )

    def check_rest(self, state: State, *, gives_up: bool) -> None:
        """Check that all windows close if nobody answers any more and dead writers are drained, or given up.

        Raises:
            Broken: some do not, or a running writer stays given up.
        """
        state = state._replace(answers=0, deaths=0, leaves=0, gifts=len(state.writers), features=self._bounds.windows)
        passed = []
        after: State | None = state
        while after is not None:
            if (after, gives_up) in self._rest:
                break
            state = after
            passed.append(state)
            after = self._next_to_rest(state, gives_up)
        else:
            self._check_closed(state)
        self._rest.update((known, gives_up) for known in passed)

    def _check_closed(self, state: State) -> None:
        running = [writer for writer in state.writers if writer.life in (Life.JOINING, Life.OPEN)]
        if any(writer.is_given_up for writer in running):
            raise Broken("a running writer stays given up")
        if running and self.closed(state) < self._bounds.windows:
            raise Broken(f"windows stay open from {self.closed(state)} on")

    def _next_to_rest(self, state: State, gives_up: bool) -> State | None:
        end = "is given up" if gives_up else "is drained"
        for number, writer in enumerate(state.writers):
            if writer.life is Life.NEW:
                continue
            for label, after in self._steps_of(state, number, writer):
                if label in _TOWARDS_REST or (label == end and writer.life is Life.DEAD):
                    return after
        return None

    def _steps_of(self, state: State, number: int, writer: Writer) -> Iterator[tuple[str, State]]:
        yield from self._lives(state, number, writer)
        yield from self._ends(state, number, writer)
        yield from self._given_up(state, number, writer)

    def _lives(self, state: State, number: int, writer: Writer) -> Iterator[tuple[str, State]]:
        life, rules, everywhere = writer.life, self._rules, self._bounds.partitions
        if life is Life.NEW:
            yield "starts", _put(state, number, self._started(writer))
        if life is Life.DEAD:
            yield "returns", _put(state, number, self._started(writer))
        if life is Life.JOINING:
            if writer.joined < everywhere:
                after = self.append(state, writer.joined, Join(number, writer.start))
                yield "joins", _put(after, number, writer._replace(joined=writer.joined + 1))
            else:
                yield (
                    "opens",
                    _put(state, number, _saw(writer, max(state.features, writer.seen))._replace(life=Life.OPEN)),
                )
        yield from self._runs(state, number, writer)
        if life is Life.DEAD and rules.drains_or_gives_up and writer.giving_up < 0:
            yield "is drained", _put(state, number, writer._replace(life=Life.DRAINED))

    def _runs(self, state: State, number: int, writer: Writer) -> Iterator[tuple[str, State]]:
        if writer.life in (Life.JOINING, Life.OPEN):
            if state.deaths:
                yield "dies", self._died(state, number, writer)
            yield from self._answers(state, number, writer)
        if writer.life is Life.OPEN:
            if writer.seen < state.features:
                yield "sees", _put(state, number, _saw(writer, writer.seen + 1))
            if state.leaves:
                after = state._replace(leaves=state.leaves - 1)
                yield "begins to leave", _put(after, number, writer._replace(life=Life.LEAVING))

    def _started(self, writer: Writer) -> Writer:
        spool = tuple(kept._replace(before=True) for kept in writer.spool)
        fresh = Writer(Life.JOINING, writer.start + 1, spool=spool, giving_up=writer.giving_up)
        fresh = fresh._replace(given_start=writer.given_start)
        if writer.start and not self._rules.joins_at_every_start:
            joined = self._bounds.partitions
            return fresh._replace(start=writer.start, joined=joined, seen=writer.seen, marked=writer.marked)
        return fresh

    def _answers(self, state: State, number: int, writer: Writer) -> Iterator[tuple[str, State]]:
        """Answer with a decision time in the window that begins at the watermark that the agent has seen."""
        rules = self._rules
        is_open = writer.life is Life.OPEN
        early = writer.joined < self._bounds.partitions and not rules.joins_before_answers
        blind = writer.joined == self._bounds.partitions and not rules.catches_up_before_answers
        if not state.answers or not (is_open or early or blind):
            return
        window = state.features if early else writer.seen
        if window >= self._bounds.windows:
            return
        if window < self.closed(state) and not writer.is_given_up:
            raise Broken(f"writer {number} answers in window {window}, which is closed")
        for partition in self._partitions:
            kept = Kept(partition, window, False, writer.is_given_up)
            after = writer._replace(spool=(*writer.spool, kept))
            yield f"answers in window {window}", _put(state._replace(answers=state.answers - 1), number, after)

    def _died(self, state: State, number: int, writer: Writer) -> State:
        dead = _put(
            state._replace(deaths=state.deaths - 1), number, writer._replace(life=Life.DEAD, joined=0, marked=0)
        )
        if not self._rules.dead_stay_open:
            for partition in self._partitions:
                dead = self.append(dead, partition, Leave(number, writer.start))
        return dead

    def _ends(self, state: State, number: int, writer: Writer) -> Iterator[tuple[str, State]]:
        """Write the watermark, or leave. Both ship what is in the spool first."""
        rules, everywhere = self._rules, self._bounds.partitions
        if writer.life is Life.OPEN and writer.marked < (everywhere if rules.marks_every_partition else 1):
            after = self._ship(state, number, only_before=True) if rules.ships_before_marks else state
            after = self.append(after, writer.marked, Mark(number, writer.start, writer.seen))
            shipped = after.writers[number]
            yield "marks", _put(after, number, shipped._replace(marked=writer.marked + 1))
        if writer.life in (Life.LEAVING, Life.DRAINED):
            after = self._ship(state, number) if rules.ships_before_leaving else state
            after = self.append(after, writer.left, Leave(number, writer.start))
            shipped = after.writers[number]
            life = Life.GONE if writer.left + 1 == everywhere else writer.life
            yield "leaves", _put(after, number, shipped._replace(left=writer.left + 1, life=life))

    def _ship(self, state: State, number: int, *, only_before: bool = False) -> State:
        writer = state.writers[number]
        shipped = [kept for kept in writer.spool if kept.before or not only_before]
        waits = self._rules.takes_least_partition
        late = {
            (number, kept.window)
            for kept in shipped
            if not kept.given_up and not (waits and kept.window >= state.reached[kept.partition])
        }
        left = tuple(kept for kept in writer.spool if kept not in shipped)
        return _put(state._replace(late=state.late | late), number, writer._replace(spool=left))

    def _given_up(self, state: State, number: int, writer: Writer) -> Iterator[tuple[str, State]]:
        rules = self._rules
        can = writer.start and writer.giving_up < 0 and writer.life not in (Life.GONE, Life.DRAINED, Life.LEAVING)
        if can and state.gifts and rules.drains_or_gives_up:
            spool = tuple(kept._replace(given_up=True) for kept in writer.spool)
            given = writer._replace(is_given_up=True, giving_up=0, given_start=writer.start, spool=spool)
            late = frozenset(entry for entry in state.late if entry[0] != number)
            yield "is given up", _put(state._replace(gifts=state.gifts - 1, late=late), number, given)
        if writer.giving_up >= 0:
            start = writer.given_start if rules.gives_up_one_start else writer.start
            after = self.append(state, writer.giving_up, GiveUp(number, start))
            done = writer.giving_up + 1 == self._bounds.partitions
            yield (
                "is given up here",
                _put(after, number, writer._replace(giving_up=-1 if done else writer.giving_up + 1)),
            )
        elif writer.is_given_up and writer.life in (Life.JOINING, Life.OPEN) and rules.given_up_start_again:
            yield "starts again", _put(state, number, self._started(writer))

    def append(self, state: State, partition: int, record: Record) -> State:
        """Append a record to a partition, and let monitoring know of it."""
        here = state.members[partition]
        here = _with(here, record.writer, _member(here[record.writer], record))
        reached = max(state.reached[partition], self._watermark(here))
        return state._replace(
            members=_with(state.members, partition, here), reached=_with(state.reached, partition, reached)
        )

    def _watermark(self, here: tuple[Member | None, ...]) -> int:
        """Return the watermark of a partition with these members."""
        rules = self._rules
        marks = [member.watermark for member in here if member is not None]
        known = [mark for mark in marks if mark != NONE]
        if not known or (rules.waits_for_joined and len(known) < len(marks)):
            return 0
        return min(known) if rules.takes_least_writer else max(known)


def search(rules: Rules, bounds: Bounds) -> int:
    """Visit every reachable state, breadth first; return their number.

    Raises:
        Broken: a property does not hold; the message has the shortest way there.
    """
    protocol = Protocol(rules, bounds)
    first = protocol.first()
    cause: dict[State, tuple[State, str] | None] = {first: None}
    layer = [first]
    while layer:
        following = []
        for state in layer:
            try:
                protocol.check(state)
                for label, step in protocol.steps(state):
                    after = _ordered(step)
                    if after not in cause:
                        cause[after] = state, label
                        following.append(after)
                protocol.check_rest(state, gives_up=True)
                protocol.check_rest(state, gives_up=False)
            except Broken as error:
                raise Broken(f"{error}, after: {', '.join(_way(cause, state))}") from None
        layer = following
    return len(cause)


def _way(cause: dict[State, tuple[State, str] | None], state: State) -> list[str]:
    labels = []
    while (before := cause[state]) is not None:
        state, label = before
        labels.append(label)
    return labels[::-1]


def _member(member: Member | None, record: Record) -> Member | None:
    """Return a writer's state in a partition after a record of it or about it."""
    match record:
        case Join():
            return Member(record.start)
        case Mark():
            if member is None or member.start != record.start:
                return member
            return member._replace(watermark=max(record.watermark, member.watermark))
        case _:
            return None if member is not None and member.start <= record.start else member


def _saw(writer: Writer, watermark: int) -> Writer:
    spool = tuple(kept._replace(before=True) for kept in writer.spool)
    return writer._replace(seen=watermark, spool=spool, marked=0)


def _ordered(state: State) -> State:
    """Return the same state with its writers in a fixed order."""
    order = sorted(
        range(len(state.writers)), key=lambda n: (state.writers[n], [here[n] or () for here in state.members])
    )
    place = {old: new for new, old in enumerate(order)}
    return state._replace(
        writers=tuple(state.writers[n] for n in order),
        members=tuple(tuple(here[n] for n in order) for here in state.members),
        late=frozenset((place[n], window) for n, window in state.late),
    )


def _put(state: State, number: int, writer: Writer) -> State:
    return state._replace(writers=_with(state.writers, number, writer))


def _with(values: tuple, number: int, value: object) -> tuple:  # type: ignore[type-arg]
    return (*values[:number], value, *values[number + 1 :])
