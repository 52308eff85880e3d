"""Metrics of the training service."""

from __future__ import annotations

from driftloop.loop.definition import TrainingDefinition
from driftloop.process.telemetry import Counter, Gauge, Histogram
from services.training.domain.state import RetrainState

REQUESTS = Counter("driftloop_training_requests", "Runs requested.", ("loop",))
COALESCED = Counter(
    "driftloop_training_reasons_coalesced", "Reasons to train that were kept or dropped.", ("loop", "because")
)
KEPT = Gauge("driftloop_training_reasons_kept", "Reasons that wait for a request.", ("loop",))
CHAIN_OPEN = Gauge("driftloop_training_chain_open", "1 while a run or a release of the loop is open.", ("loop",))
CONSECUTIVE_FAILURES = Gauge(
    "driftloop_training_in_vain",
    "Consecutive failures of the trainer; the breaker counts them.",
    ("loop",),
)
BREAKER_OPEN = Gauge(
    "driftloop_training_breaker_open", "1 while only a command or an import starts a run of the loop.", ("loop",)
)
PAUSED = Gauge("driftloop_training_paused", "1 while retraining is paused.", ("loop",))
LAUNCHES = Counter("driftloop_training_launches", "Processes started for runs, including repeats.", ("loop",))
UNREACHABLE = Counter(
    "driftloop_training_unreachable",
    "Times that a run could not be launched or observed, because a server did not answer.",
    ("loop",),
)
RUNS = Counter(
    "driftloop_training_runs", "Runs that ended, by how: trained, or the reason of failure.", ("loop", "end")
)
RUN_SECONDS = Histogram("driftloop_training_run_seconds", "Wall time of a run that ended with a bundle.", ("loop",))
RUN_MEMORY = Gauge("driftloop_training_run_memory_mib", "Proportional memory of the run's processes now.", ("loop",))


def set_gauges(state: RetrainState, policy: TrainingDefinition) -> None:
    """Set the gauges of a loop."""
    KEPT.set(len(state.kept), loop=state.loop)
    CHAIN_OPEN.set(0 if state.chain is None else 1, loop=state.loop)
    CONSECUTIVE_FAILURES.set(state.consecutive_failures, loop=state.loop)
    BREAKER_OPEN.set(int(state.consecutive_failures >= policy.breaker), loop=state.loop)
    PAUSED.set(int(state.paused), loop=state.loop)
