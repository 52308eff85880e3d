"""KPIs: how fast and how well a loop detects and repairs drift."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from driftloop.events.envelope import Envelope
from driftloop.ops.kpis.observed import Observed, observe
from driftloop.ops.kpis.period import Period
from driftloop.ops.kpis.spread import Share, Spread, Took
from driftloop.readmodel.loop_history import LoopHistory

DAY_MS = 86_400_000
DAYS = 30.0


@dataclass(frozen=True)
class Timing:
    """Time between two kinds of events, in seconds of event time and of wall-clock time."""

    event_s: Spread
    wall_s: Spread

    @staticmethod
    def of(took: Sequence[Took]) -> Timing | None:
        """Return the spread of some times; None without times."""
        event, wall = Spread.of([time.event_s for time in took]), Spread.of([time.wall_s for time in took])
        return None if event is None or wall is None else Timing(event, wall)


@dataclass(frozen=True)
class Kpis:
    """KPIs of one loop, or of several together, over a period of event time. None: no data yet.

    Four of them are DORA's four keys (Forsgren, Humble and Kim, Accelerate, 2018, chapter 2), with a promoted model as
    the change: deployment frequency, lead time (`cycle_time`), change failure rate (`defects`), time to restore
    (`time_to_repair`).
    """

    observed: Observed

    @property
    def time_to_detect(self) -> Spread | None:
        """Return seconds of event time from the start of the first window in an alarm's evidence to the alarm.

        An upper bound of the age of the drift: the evidence has every window of the detector's statistic. Counts
        alarms of mode `trigger` with a known evidence window.
        """
        return Spread.of(self.observed.detect_s)

    @property
    def time_to_request(self) -> Timing | None:
        """Return the time from an alarm to the retrain request that lists it as a reason."""
        return Timing.of(self.observed.to_request)

    @property
    def time_to_run(self) -> Timing | None:
        """Return the time from an alarm to the start of that request's run."""
        return Timing.of(self.observed.to_run)

    @property
    def time_to_scoring(self) -> Timing | None:
        """Return the time from an alarm to the first converged route with that run's release as challenger."""
        return Timing.of(self.observed.to_scoring)

    @property
    def time_to_repair(self) -> Timing | None:
        """Return the time from an alarm to the first promotion that replaced its release, whatever the cause.

        DORA's time to restore. An alarm with no such promotion counts in `open_alarms`, not here.
        """
        return Timing.of(self.observed.repair)

    @property
    def cycle_time(self) -> Timing | None:
        """Return the time from a retrain request to the promotion of its release. DORA's lead time for changes."""
        return Timing.of(self.observed.cycle)

    @property
    def defects(self) -> Share:
        """Return the share of runs with a rejected or rolled-back release, among these and promoted ones.

        Stricter than DORA's change failure rate: also counts releases that the rollout rejected before they did harm.
        """
        return Share(self.observed.defects, self.observed.defects + self.observed.helped)

    @property
    def without_hand(self) -> Share:
        """Return the share of promotions without a user command in their chain."""
        return Share(self.observed.untouched, self.observed.promotions)

    @property
    def promotions_per_30_days(self) -> float | None:
        """Return promotions per 30 days of event time of one loop. DORA's deployment frequency."""
        if not (self.observed.promotions and self.observed.span_ms):
            return None
        return self.observed.promotions / (self.observed.span_ms / DAY_MS / DAYS)

    def to_json(self) -> dict[str, Any]:
        """Return times in seconds, shares between 0 and 1, and counts; null without data."""
        observed = self.observed
        return {
            "event_days": observed.span_ms / DAY_MS,
            "alarms": {
                "trigger": observed.alarms,
                "watch": observed.watched,
                "superseded": observed.superseded,
                "open": observed.open_alarms,
            },
            "time_to_detect": {"event_s": asdict(self.time_to_detect)} if self.time_to_detect else None,
            "time_to_respond": {
                "request": _json(self.time_to_request),
                "run": _json(self.time_to_run),
                "scoring": _json(self.time_to_scoring),
            },
            "time_to_repair": _json(self.time_to_repair),
            "defects": {**self.defects.to_json(), "rollbacks": observed.rollbacks, "failed_runs": observed.failed_runs},
            "without_hand": self.without_hand.to_json(),
            "deployment_frequency": {"promotions": observed.promotions, "per_30_days": self.promotions_per_30_days},
            "cycle_time": _json(self.cycle_time),
        }


def measure(events: Sequence[Envelope[Any]], loops: Iterable[str], period: Period) -> dict[str, Kpis]:
    """Return the KPIs of each loop."""
    return {loop: Kpis(observe(LoopHistory(loop, events), period)) for loop in loops}


def together(kpis: Iterable[Kpis]) -> Kpis:
    """Return KPIs over several loops. Times and counts are pooled, so a busy loop has more weight."""
    return Kpis(sum((loop.observed for loop in kpis), Observed()))


def _json(timing: Timing | None) -> dict[str, Any] | None:
    return None if timing is None else asdict(timing)
