"""Random orders of the model's steps, taken by the services' own code.

`Run` lets the model choose a step, and then makes the agents' `Writer` and monitoring's `PredictionWatermarks` take it.
The state of the services replaces the model's, so the model judges what the services would do.
"""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from google.protobuf.message import Message

from driftloop.contracts import predictions_pb2 as predictions
from driftloop.events.prediction_writers import PredictionWatermarks
from services.serving.domain.writers import Phase, Writer
from tests.simulation.watermark_protocol.model import Bounds, GiveUp, Join, Life, Mark, Protocol, Record, Rules, State
from tests.simulation.watermark_protocol.model import Writer as Modelled

LOOP = "orders"


class Recording(Protocol):
    """The model, which notes the records of a step."""

    def __init__(self, bounds: Bounds) -> None:
        super().__init__(Rules(), bounds)
        self.records: list[tuple[int, Record]] = []

    def append(self, state: State, partition: int, record: Record) -> State:
        self.records.append((partition, record))
        return super().append(state, partition, record)


class Step(NamedTuple):
    """A possible step, the state after it, and the records that it appends, by partition."""

    label: str
    after: State
    records: list[tuple[int, Record]]


@dataclass
class Run:
    """One order of steps. It fails with `Broken` or an assertion if the services break a rule."""

    bounds: Bounds
    choose: random.Random
    labels: list[str] = field(default_factory=list)
    speeds: dict[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.protocol = Recording(self.bounds)
        self.state = self.protocol.first()
        self.agents: list[Writer | None] = [None] * self.bounds.writers
        self.watermarks = PredictionWatermarks(self.bounds.partitions)

    def go(self, steps: int) -> None:
        """Take random steps, then let all windows close."""
        for _ in range(steps):
            if not self._take(self._steps()):
                break
        gives_up = self.choose.random() < 0.5
        quiet = self.state._replace(answers=0, deaths=0, leaves=0, gifts=len(self.state.writers))
        self.state = quiet._replace(features=self.bounds.windows)
        while self._take([step for step in self._steps() if self._leads_to_rest(step.label, gives_up)]):
            pass
        running = [writer for writer in self.state.writers if writer.life in (Life.JOINING, Life.OPEN)]
        if running:
            assert min(self._reached()) == self.bounds.windows, self.labels

    def _steps(self) -> list[Step]:
        steps = []
        self.protocol.records = []
        for label, after in self.protocol.steps(self.state):
            steps.append(Step(label, after, self.protocol.records))
            self.protocol.records = []
        return steps

    def _take(self, steps: list[Step]) -> bool:
        """Take one of these steps; return whether there is one. In each run, some kinds of steps are slower."""
        if not steps:
            return False
        for step in steps:
            self.speeds.setdefault(step.label, self.choose.random() ** 3 + 0.01)
        [step] = self.choose.choices(steps, [self.speeds[step.label] for step in steps])
        self.labels.append(step.label)
        self._follow(step)
        self.state = step.after._replace(reached=self._reached())
        self.protocol.check(self.state)
        return True

    def _leads_to_rest(self, label: str, gives_up: bool) -> bool:
        _, number, *step = label.split(" ", 2)
        life = self.state.writers[int(number)].life
        end = "is given up" if gives_up else "is drained"
        towards = ("joins", "opens", "sees", "marks", "leaves", "starts again", "is given up here")
        return life is not Life.NEW and (step[0] in towards or (step[0] == end and life is Life.DEAD))

    def _follow(self, step: Step) -> None:
        """Let the services take a step of the model, and compare what they do with it."""
        words = step.label.split(" ", 2)
        if words[0] == "writer":
            self._agent(int(words[1]), words[2], step)
        for partition, record in step.records:
            self.watermarks.apply(partition, message(record))

    def _agent(self, number: int, label: str, step: Step) -> None:
        modelled, agent = step.after.writers[number], self.agents[number]
        if label in ("starts", "returns"):
            # the database keeps the newest watermark of the start before
            self.agents[number] = Writer(modelled.start, agent.seen_ms if agent is not None else None)
            return
        assert agent is not None
        if label == "starts again":
            agent.start_again(modelled.start)
        elif label == "joins":
            self._join(agent, modelled)
        elif label in ("opens", "sees"):
            agent.see(modelled.seen)
            agent.caught_up()
        elif label.startswith("answers"):
            assert agent.may_answer
        elif label == "marks":
            self._mark(agent, modelled, step)

    def _join(self, agent: Writer, modelled: Modelled) -> None:
        assert agent.phase is Phase.JOINING
        if modelled.joined == self.bounds.partitions:
            agent.joined()

    def _mark(self, agent: Writer, modelled: Modelled, step: Step) -> None:
        [(_, record)] = step.records
        assert isinstance(record, Mark)
        assert (record.start, record.watermark) == (agent.start, agent.due_ms)
        if modelled.marked == self.bounds.partitions:
            agent.written(record.watermark)

    def _reached(self) -> tuple[int, ...]:
        return tuple(self.watermarks.newest.get(partition, 0) for partition in range(self.bounds.partitions))


def message(record: Record) -> Message:
    """Return a record of the model as the message that the services write."""
    names: dict[str, Any] = {"loop": LOOP, "writer": str(record.writer), "start": record.start}
    match record:
        case Join():
            return predictions.WriterJoined(**names)
        case Mark():
            return predictions.PredictionWatermark(watermark_ms=record.watermark, **names)
        case GiveUp():
            return predictions.GiveUp(because="timeout", **names)
        case _:
            return predictions.WriterLeft(**names)
