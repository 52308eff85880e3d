"""Every metric of the features service, each declared once."""

from driftloop.process.telemetry import Counter, Gauge, Histogram

STEP_SECONDS = Histogram("driftloop_features_step_seconds", "Time from a watermark to the online commit.", ("loop",))
ROWS_WRITTEN = Counter("driftloop_features_rows_written", "Feature rows written online, over all views.", ("loop",))
WATERMARK = Gauge(
    "driftloop_features_watermark_ms", "Online features are right up to this event time, UTC ms.", ("loop",)
)
REFILLED = Counter(
    "driftloop_features_refilled_views", "Views that the online store lacked and the offline views filled.", ("loop",)
)
LATE = Counter("driftloop_features_late_events", "Events that came after the watermark had passed them.", ("loop",))
FLUSH_SECONDS = Histogram("driftloop_features_flush_seconds", "Time of an offline append with its checkpoint.")
FLUSHED_ROWS = Counter("driftloop_features_flushed_rows", "Feature rows handed to the offline views.", ("loop",))
REFUSED = Counter("driftloop_features_dead_lettered", "Records that could not be read.", ("reason",))
LAG = Gauge("driftloop_features_lag_records", "Records of the input that have not been read yet.")
