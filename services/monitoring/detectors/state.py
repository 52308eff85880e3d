"""A detector's state as it stands in the table."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import Any

from services.monitoring.domain.detectors import DetectorState
from services.monitoring.domain.statistics import Block


def table_key(loop: str, detector: str) -> str:
    """Key of a detector's state."""
    return f"{loop}/{detector}"


def to_text(state: DetectorState) -> str:
    """The state as JSON; floats keep all their bits."""
    return json.dumps(asdict(state), sort_keys=True, separators=(",", ":"))


def from_text(text: str | None) -> DetectorState:
    """Back from `to_text`; the beginning where there is none."""
    if not text:
        return DetectorState()
    data: dict[str, Any] = json.loads(text)
    blocks = tuple(Block(**{**each, "psi": dict(each["psi"])}) for each in data["blocks"])
    return DetectorState(data["end_ms"], data["release"], blocks, data["episode"])
