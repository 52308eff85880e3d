"""Metrics of the monitoring service's two processes. Gauges of a window tell of the newest closed one."""

from driftloop.process.telemetry import Counter, Gauge, Histogram

# --- outcome join
PREDICTIONS = Counter("driftloop_monitoring_predictions", "Client predictions in the log, each once.", ("loop",))
REPEATED = Counter("driftloop_monitoring_predictions_repeated", "Records of predictions known already.", ("loop",))
PROBES = Counter(
    "driftloop_monitoring_probes", "Predictions that serving asked of itself; they count for nothing.", ("loop",)
)
OUTCOMES = Counter(
    "driftloop_monitoring_outcomes",
    "Outcomes by what became of them: joined, late, missing, duplicate, unpredicted, corrected, and of those overdue.",
    ("loop", "result"),
)
DEAD_LETTERED = Counter("driftloop_monitoring_dead_lettered", "Records refused for good.", ("topic", "reason"))
WATERMARK = Gauge(
    "driftloop_monitoring_watermark_seconds", "Event time up to which outcomes and predictions are whole.", ("loop",)
)
WINDOW_END = Gauge("driftloop_monitoring_window_end_seconds", "Event time at which the window ended.", ("loop",))
WINDOW_LAG = Gauge(
    "driftloop_monitoring_window_lag_seconds", "Event time from the window's end to the watermark.", ("loop",)
)
WINDOWS = Counter("driftloop_monitoring_windows_closed", "Windows closed.", ("loop",))
WINDOW_PREDICTIONS = Gauge("driftloop_monitoring_window_predictions", "Predictions decided in the window.", ("loop",))
ANSWERED = Gauge(
    "driftloop_monitoring_answered", "Answers that a release gave in the window.", ("loop", "release", "role")
)
LOSS = Gauge("driftloop_monitoring_loss", "Mean loss of a release in the window.", ("loop", "release", "role"))
RESIDUAL = Gauge(
    "driftloop_monitoring_residual", "Mean of score less outcome in the window.", ("loop", "release", "role")
)
RESTATED = Counter("driftloop_monitoring_windows_restated", "Closed windows that corrections changed.", ("loop",))
RESTATED_OUTCOMES = Counter(
    "driftloop_monitoring_outcomes_restated", "Outcomes of closed windows that have another value now.", ("loop",)
)
RESTATED_END = Gauge(
    "driftloop_monitoring_restated_window_end_seconds", "Event time at which the window restated last ended.", ("loop",)
)
RESTATED_LOSS = Gauge(
    "driftloop_monitoring_restated_loss",
    "Mean loss of a release in the window restated last, with the corrected outcomes.",
    ("loop", "release", "role"),
)
RESTATED_RESIDUAL = Gauge(
    "driftloop_monitoring_restated_residual",
    "Mean of score less outcome in the window restated last, with the corrected outcomes.",
    ("loop", "release", "role"),
)
PSI = Gauge(
    "driftloop_monitoring_psi",
    "Stability index of an input or the score against training.",
    ("loop", "release", "input"),
)
STAGE = Gauge(
    "driftloop_monitoring_release_stage",
    "Stage of a release: 3 champion, 2 canary, 1 shadow, 0 retired, -1 rejected, -2 rolled back.",
    ("loop", "release"),
)
BATCH_SECONDS = Histogram("driftloop_monitoring_batch_seconds", "Time to write a batch of records.")
CLOSE_SECONDS = Histogram("driftloop_monitoring_close_seconds", "Time to close a window and write it.", ("loop",))

# --- detectors
STATISTIC = Gauge("driftloop_detector_statistic", "A detector's newest statistic.", ("loop", "detector", "release"))
THRESHOLD = Gauge("driftloop_detector_threshold", "The value above which a detector alarms.", ("loop", "detector"))
EPISODE_OPEN = Gauge("driftloop_detector_episode_open", "1 while a detector's episode is open.", ("loop", "detector"))
ALARMS = Counter("driftloop_detector_alarms", "Alarms raised, once an episode.", ("loop", "detector", "mode"))
WINDOWS_DECIDED = Counter("driftloop_detector_windows", "Windows that the detectors have looked at.", ("loop",))
DETECTORS_DEAD_LETTERED = Counter("driftloop_detector_dead_lettered", "Window records refused for good.", ("reason",))
