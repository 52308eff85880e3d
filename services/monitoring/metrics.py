"""Metrics of the two monitoring processes. Gauges of a window show the newest closed one."""

from driftloop.process.telemetry import Counter, Gauge, Histogram

# outcome join
PREDICTIONS = Counter("driftloop_monitoring_predictions", "Client predictions in the log, without repeats.", ("loop",))
REPEATED = Counter("driftloop_monitoring_predictions_repeated", "Repeated records of a prediction.", ("loop",))
PROBES = Counter("driftloop_monitoring_probes", "Probes of serving; they are not joined.", ("loop",))
OUTCOMES = Counter(
    "driftloop_monitoring_outcomes",
    "Outcomes by result: joined, late, missing, duplicate, unpredicted, corrected (of these: overdue), backdated.",
    ("loop", "result"),
)
DEAD_LETTERED = Counter("driftloop_monitoring_dead_lettered", "Records that became dead letters.", ("topic", "reason"))
WATERMARK = Gauge(
    "driftloop_monitoring_watermark_seconds", "Event time up to which outcomes and predictions are complete.", ("loop",)
)
WINDOW_END = Gauge("driftloop_monitoring_window_end_seconds", "Event time at which the window ended.", ("loop",))
WINDOW_LAG = Gauge(
    "driftloop_monitoring_window_lag_seconds", "Event time from the window's end to the watermark.", ("loop",)
)
WINDOWS = Counter("driftloop_monitoring_windows_closed", "Windows closed.", ("loop",))
WINDOW_PREDICTIONS = Gauge("driftloop_monitoring_window_predictions", "Predictions decided in the window.", ("loop",))
ANSWERED = Gauge(
    "driftloop_monitoring_answered", "Predictions that a release answered in the window.", ("loop", "release", "role")
)
LOSS = Gauge("driftloop_monitoring_loss", "Mean loss of a release in the window.", ("loop", "release", "role"))
RESIDUAL = Gauge(
    "driftloop_monitoring_residual", "Mean of score minus outcome in the window.", ("loop", "release", "role")
)
RESTATED = Counter("driftloop_monitoring_windows_restated", "Closed windows that corrections changed.", ("loop",))
RESTATED_OUTCOMES = Counter(
    "driftloop_monitoring_outcomes_restated", "Outcomes of closed windows whose value changed.", ("loop",)
)
RESTATED_END = Gauge(
    "driftloop_monitoring_restated_window_end_seconds",
    "Event time at which the newest restated window ended.",
    ("loop",),
)
RESTATED_LOSS = Gauge(
    "driftloop_monitoring_restated_loss",
    "Mean loss of a release in the newest restated window.",
    ("loop", "release", "role"),
)
RESTATED_RESIDUAL = Gauge(
    "driftloop_monitoring_restated_residual",
    "Mean of score minus outcome in the newest restated window.",
    ("loop", "release", "role"),
)
PSI = Gauge(
    "driftloop_monitoring_psi",
    "Population stability index of an input or the score against training.",
    ("loop", "release", "input"),
)
STAGE = Gauge(
    "driftloop_monitoring_release_stage",
    "Stage of a release: 3 champion, 2 canary, 1 shadow, 0 retired, -1 rejected, -2 rolled back.",
    ("loop", "release"),
)
WRITER_BEHIND = Gauge(
    "driftloop_writer_behind_seconds",
    "Time for which a prediction writer has written nothing while another one is ahead, so that windows wait for it.",
    ("loop", "writer"),
)
OLDER_STARTS = Counter(
    "driftloop_writer_older_starts",
    "Records of prediction writers that have no effect, because a newer start of the same name is known.",
    ("loop", "writer"),
)
GIVEN_UP = Counter(
    "driftloop_writers_given_up", "Starts of prediction writers for which windows no longer wait.", ("loop", "writer")
)
BATCH_SECONDS = Histogram("driftloop_monitoring_batch_seconds", "Time to write a batch of records.")
CLOSE_SECONDS = Histogram("driftloop_monitoring_close_seconds", "Time to close a window and write it.", ("loop",))

# detectors
STATISTIC = Gauge("driftloop_detector_statistic", "Newest statistic of a detector.", ("loop", "detector", "release"))
THRESHOLD = Gauge("driftloop_detector_threshold", "Value above which a detector raises an alarm.", ("loop", "detector"))
EPISODE_OPEN = Gauge(
    "driftloop_detector_episode_open", "1 while an episode of the detector is open.", ("loop", "detector")
)
SKIPPED = Gauge(
    "driftloop_detector_windows_skipped",
    "Windows of the champion in a row, up to the newest, that had too few rows for the detector.",
    ("loop", "detector"),
)
ALARMS = Counter("driftloop_detector_alarms", "Alarms raised, one per episode.", ("loop", "detector", "mode"))
WINDOWS_DECIDED = Counter("driftloop_detector_windows", "Windows that the detectors have decided on.", ("loop",))
DETECTORS_DEAD_LETTERED = Counter(
    "driftloop_detector_dead_lettered", "Window records that became dead letters.", ("reason",)
)
