"""Converts loop definitions and closed windows to the input of the detectors. Pure."""

from __future__ import annotations

from driftloop.contracts import monitoring_pb2 as monitoring
from driftloop.drift.detectors import ChampionWindow, Rule
from driftloop.events.envelope import Envelope
from driftloop.loop import LoopDefinition


def rules(loop: LoopDefinition) -> tuple[Rule, ...]:
    """Return the detectors of a loop, sorted by name."""
    return tuple(
        Rule(name, each.kind, each.mode, each.threshold, each.blocks, each.on, each.min_rows)
        for name, each in sorted(loop.monitoring.detectors.items())
    )


def champion_window(event: Envelope[monitoring.WindowClosed]) -> ChampionWindow:
    """Return the champion's part of a closed window."""
    data = event.data
    champion = data.champion_release_id
    sums = next((each for each in data.releases if each.release_id == champion), monitoring.ReleaseWindow())
    histograms = [each for each in data.histograms if each.release_id == champion]
    return ChampionWindow(
        evidence_id=event.id,
        window_id=data.window_id,
        end_ms=data.end_ms,
        champion=champion,
        joined=sums.count,
        loss=sums.loss_sum,
        residual=sums.residual_sum,
        psi={each.name: each.psi for each in histograms},
        psi_rows={each.name: sum(each.counts) + each.missing for each in histograms},
    )
