"""Metrics of the evaluation service."""

from driftloop.process.telemetry import Counter, Gauge, Histogram

VERDICTS = Counter("driftloop_evaluation_verdicts", "Verdicts reached.", ("loop", "stage", "outcome"))
BOOTSTRAP_SECONDS = Histogram(
    "driftloop_evaluation_bootstrap_seconds", "Time to judge one window in a stage, all slices included.", ("loop",)
)
OFFLINE_SECONDS = Histogram("driftloop_evaluation_offline_seconds", "Time to judge one candidate offline.", ("loop",))
STAGE_BLOCKS = Gauge(
    "driftloop_evaluation_stage_blocks", "Blocks with paired rows that the newest verdict rests on.", ("loop", "stage")
)
GAIN = Gauge(
    "driftloop_evaluation_gain", "Champion's loss less challenger's per row, in the newest verdict.", ("loop", "bound")
)
