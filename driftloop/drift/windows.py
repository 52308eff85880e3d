"""Converts loop definitions and closed windows to the input of the detectors. Pure."""

from __future__ import annotations

from driftloop.contracts import monitoring_pb2 as monitoring
from driftloop.drift.detectors import ChampionWindow, DetectorRule
from driftloop.events.envelope import Envelope
from driftloop.loop import LoopDefinition


def detector_rules(loop: LoopDefinition) -> tuple[DetectorRule, ...]:
    """Return the detectors of a loop, sorted by name."""
    return tuple(
        DetectorRule(
            name, detector.kind, detector.mode, detector.threshold, detector.blocks, detector.on, detector.min_rows
        )
        for name, detector in sorted(loop.monitoring.detectors.items())
    )


def champion_window(event: Envelope[monitoring.WindowClosed]) -> ChampionWindow:
    """Return the champion's part of a closed window."""
    data = event.data
    champion = data.champion_release_id
    sums = next((release for release in data.releases if release.release_id == champion), monitoring.ReleaseWindow())
    histograms = [histogram for histogram in data.histograms if histogram.release_id == champion]
    return ChampionWindow(
        evidence_id=event.id,
        window_id=data.window_id,
        end_ms=data.end_ms,
        champion=champion,
        joined=sums.count,
        loss=sums.loss_sum,
        residual=sums.residual_sum,
        psi={histogram.name: histogram.psi for histogram in histograms},
        psi_rows={histogram.name: sum(histogram.counts) + histogram.missing for histogram in histograms},
    )
