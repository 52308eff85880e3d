"""KPIs of a loop, from lifecycle events alone. Pure."""

from driftloop.ops.kpis.measure import Kpis, Timing, measure, together
from driftloop.ops.kpis.observed import observe
from driftloop.ops.kpis.period import Period
from driftloop.ops.kpis.spread import Share, Spread, Took

__all__ = ["Kpis", "Period", "Share", "Spread", "Timing", "Took", "measure", "observe", "together"]
