"""What a demo replays, stored in its home so that an interrupted demo can continue."""

from __future__ import annotations

from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError

from driftloop.ops.demo.plan import Plan
from driftloop.process.errors import ConfigError

_FILE = "demo.json"


class DemoCheckpoint(BaseModel):
    """A loop, the event time to replay, and further arguments of the replay."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    loop: str
    plan: Plan
    replayed: tuple[str, ...] = ()
    permuted: bool = False

    def write(self, home: Path) -> None:
        home.mkdir(parents=True, exist_ok=True)
        (home / _FILE).write_text(self.model_dump_json(indent=1))


def read_checkpoint(home: Path) -> DemoCheckpoint:
    """Read the checkpoint of a home.

    Raises:
        ConfigError: the file is missing or cannot be read.
    """
    try:
        return DemoCheckpoint.model_validate_json((home / _FILE).read_text())
    except FileNotFoundError as error:
        raise ConfigError(f"there is no demo to resume in {home}; start one without --resume") from error
    except ValidationError as error:
        what = error.errors()[0]
        raise ConfigError(f"{home / _FILE}: {what['msg']} at {what['loc']}; start again without --resume") from error
