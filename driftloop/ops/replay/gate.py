"""When a replay may continue: features are complete up to the step and, at a window's end, no work is pending."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from driftloop.contracts import features_pb2, monitoring_pb2, replay_pb2
from driftloop.events.envelope import Envelope
from driftloop.readmodel.event_text import day
from driftloop.readmodel.loop_history import LoopHistory
from driftloop.readmodel.pending_work import DECIDERS


@dataclass
class Gate:
    """State of one loop according to its lifecycle events. Pure; not thread-safe."""

    loop: str
    block_ms: int
    deciders: tuple[str, ...] = DECIDERS
    features_ms: int = -1
    """Watermark up to which online features are complete."""
    asked_ms: int = -1
    """Start of the newest step whose predictions were all requested."""
    closed_ms: int = -1
    """End of the newest closed window."""
    first_ms: int | None = None
    """First watermark of the loop: windows that end at or before it are never closed."""
    history: LoopHistory = field(init=False)

    def __post_init__(self) -> None:
        self.history = LoopHistory(self.loop, deciders=self.deciders, keep_windows=False)

    def process(self, event: Envelope[Any]) -> None:
        """Process an event; ignore those of other loops."""
        if event.loop != self.loop:
            return
        data = event.data
        if isinstance(data, features_pb2.WatermarkAdvanced):
            self.features_ms = max(self.features_ms, data.watermark_ms)
            self.first_ms = data.watermark_ms if self.first_ms is None else min(self.first_ms, data.watermark_ms)
        elif isinstance(data, replay_pb2.StepAsked):
            self.asked_ms = max(self.asked_ms, data.watermark_ms)
        elif isinstance(data, monitoring_pb2.WindowClosed):
            self.closed_ms = max(self.closed_ms, data.end_ms)
        self.history.apply(event)

    def at_rest(self, watermark_ms: int) -> bool:
        """Return whether everything that can be decided at the watermark is decided and served."""
        return not self.waits_for(watermark_ms)

    def waits_for(self, watermark_ms: int) -> list[str]:
        """Return what the step at this watermark still waits for, as text."""
        if self.features_ms < watermark_ms:
            return ["features are not complete up to the step yet"]
        boundary = watermark_ms // self.block_ms * self.block_ms
        if self.first_ms is not None and boundary > self.first_ms and self.closed_ms < boundary:
            return [f"the window that ends at {day(boundary)} is not closed yet"]
        return self.history.pending.open()
