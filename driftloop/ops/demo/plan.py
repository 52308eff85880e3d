"""What a loop's demo replays: ``loops/<loop>/demo.yaml``, or another plan beside it."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Annotated

import yaml
from pydantic import BaseModel, BeforeValidator, ConfigDict, ValidationError, field_serializer

from driftloop.loop.definition import parse_span
from driftloop.process.errors import LoopDefinitionError


class Plan(BaseModel):
    """Event time to replay."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    start: date
    """First day, UTC."""
    end: date
    """First day that is not replayed."""
    step: Annotated[timedelta, BeforeValidator(parse_span)] = timedelta(hours=1)
    """Event time of a step."""

    @field_serializer("step")
    def _as_written(self, step: timedelta) -> str:
        return f"{step.total_seconds():g}s"

    def with_span(self, start: date | None, end: date | None, step: timedelta | None) -> Plan:
        """Return the plan with the given values replaced."""
        return Plan(start=start or self.start, end=end or self.end, step=step or self.step)

    @property
    def start_ms(self) -> int:
        return _ms(self.start)

    @property
    def end_ms(self) -> int:
        return _ms(self.end)


def read_plan(folder: Path, name: str = "demo") -> Plan:
    """Read the plan of that name from a loop's folder.

    Raises:
        LoopDefinitionError: the plan does not exist or is not valid.
    """
    path = folder / f"{name}.yaml"
    if not path.exists():
        raise LoopDefinitionError([f"{path}:1: the plan is missing; it defines the days to replay: start, end, step"])
    try:
        return Plan.model_validate(yaml.load(path.read_text(), Loader=yaml.CSafeLoader))
    except (ValidationError, yaml.YAMLError) as error:
        raise LoopDefinitionError([f"{path}:1: {error}"]) from error


def _ms(day: date) -> int:
    return round(datetime(day.year, day.month, day.day, tzinfo=UTC).timestamp() * 1000)
