"""Shows closed windows as metrics. A release that is missing in a window is shown as NaN, not at its last value."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from driftloop.process.telemetry import Gauge
from services.monitoring import metrics
from services.monitoring.domain.monitor import LoopMonitor
from services.monitoring.domain.window import ReleaseSums, RestatedWindow, Window
from services.monitoring.ports import ReleaseInfo

STAGES = MappingProxyType({"champion": 3, "canary": 2, "shadow": 1, "retired": 0, "rejected": -1, "rolled-back": -2})
Labels = tuple[tuple[str, str], ...]


@dataclass
class WindowGauges:
    """Remembers which series a loop's newest window had."""

    _shown: dict[tuple[str, str], set[Labels]] = field(default_factory=lambda: defaultdict(set))
    _behind: dict[str, set[str]] = field(default_factory=lambda: defaultdict(set))

    def show_stages(self, releases: Iterable[ReleaseInfo]) -> None:
        for release in releases:
            if release.stage in STAGES:
                metrics.STAGE.set(STAGES[release.stage], loop=release.loop, release=release.release_id)

    def show_watermark(self, monitor: LoopMonitor) -> None:
        """Show a loop's watermark and the lag of its windows."""
        loop, watermark, closed = monitor.rules.loop, monitor.watermark_ms, monitor.closed_ms
        if watermark is not None:
            metrics.WATERMARK.set(watermark / 1000, loop=loop)
        if watermark is not None and closed is not None:
            metrics.WINDOW_LAG.set((watermark - closed) / 1000, loop=loop)

    def show_writers(self, loop: str, behind_s: Mapping[str, float]) -> None:
        """Show for how long writers hold the windows. One that was shown and is not behind any more is at 0."""
        self._behind[loop] |= behind_s.keys()
        for writer in self._behind[loop]:
            metrics.WRITER_BEHIND.set(behind_s.get(writer, 0.0), loop=loop, writer=writer)

    def show_window(self, loop: str, window: Window) -> None:
        metrics.WINDOWS.add(loop=loop)
        metrics.WINDOW_END.set(window.end_ms / 1000, loop=loop)
        metrics.WINDOW_PREDICTIONS.set(window.predictions, loop=loop)
        for result in ("joined", "late", "missing", "duplicate", "corrected", "unpredicted", "overdue", "backdated"):
            metrics.OUTCOMES.add(getattr(window.joins, result), loop=loop, result=result)
        answered: dict[Labels, float] = {
            _labels(release=sums.release_id, role=sums.role): sums.answered for sums in window.releases
        }
        self._show(metrics.ANSWERED, loop, answered)
        self._means(loop, window.releases, metrics.LOSS, metrics.RESIDUAL)
        psi = {_labels(release=hist.release_id, input=hist.name): hist.psi for hist in window.histograms}
        self._show(metrics.PSI, loop, psi)

    def show_restated(self, loop: str, window: RestatedWindow) -> None:
        """Show a closed window whose outcomes were corrected. It is never the newest one: a later close restated it."""
        metrics.RESTATED.add(loop=loop)
        metrics.RESTATED_OUTCOMES.add(window.corrections, loop=loop)
        metrics.RESTATED_END.set(window.end_ms / 1000, loop=loop)
        self._means(loop, window.after, metrics.RESTATED_LOSS, metrics.RESTATED_RESIDUAL)

    def _means(self, loop: str, sums: Iterable[ReleaseSums], loss: Gauge, residual: Gauge) -> None:
        by_labels = {_labels(release=row.release_id, role=row.role): row for row in sums if row.count}
        self._show(loss, loop, {labels: row.loss / row.count for labels, row in by_labels.items()})
        self._show(residual, loop, {labels: row.residual / row.count for labels, row in by_labels.items()})

    def _show(self, gauge: Gauge, loop: str, values: dict[Labels, float]) -> None:
        before = self._shown[gauge.name, loop]
        for labels in before - values.keys():
            gauge.set(math.nan, loop=loop, **dict(labels))
        for labels, value in values.items():
            gauge.set(value, loop=loop, **dict(labels))
        self._shown[gauge.name, loop] = before | values.keys()


def _labels(**labels: str) -> Labels:
    return tuple(labels.items())
