"""Metrics of the serving agent."""

from driftloop.process.telemetry import Counter, Gauge, Histogram

SHIPPED = Counter(
    "driftloop_predictions_shipped",
    "Predictions sent from the spool to Kafka, by release and arm; purpose is client or probe.",
    ("loop", "release", "arm", "purpose"),
)
STALE_VIEWS = Counter(
    "driftloop_stale_views_served",
    "Views that counted as missing in a client's prediction because of their age.",
    ("loop", "view"),
)
FEATURE_AGE = Gauge(
    "driftloop_feature_age_seconds",
    "Decision time minus feature watermark of the newest shipped prediction.",
    ("loop",),
)
TORN = Counter("driftloop_spool_torn", "Segments whose writer died during a write.", ("loop",))
CORRUPT = Counter(
    "driftloop_spool_corrupt", "Segments set aside because a whole frame has another checksum.", ("loop",)
)
DEAD_LETTERED = Counter(
    "driftloop_predictions_dead_lettered",
    "Predictions that the broker refuses for good, by reason.",
    ("loop", "reason"),
)
SHIP_SECONDS = Histogram(
    "driftloop_ship_seconds", "Time to send a spool's records to Kafka, until it acknowledged them.", ("loop",)
)
WATERMARK = Gauge("driftloop_prediction_watermark_ms", "Newest prediction watermark sent.", ("loop",))
SHIP_FAILED = Counter("driftloop_ship_failed", "Steps that the broker did not acknowledge; each is retried.", ())
EPOCH = Gauge("driftloop_route_epoch", "Epoch of the route that the router serves.", ("loop",))
ROUTES = Counter("driftloop_routes", "Routes by outcome: converged, failed or restored.", ("loop", "outcome"))
CONVERGE_SECONDS = Histogram(
    "driftloop_route_converge_seconds", "Time from the receipt of a route to the answer of its probe.", ("loop",)
)
SICK = Gauge("driftloop_triton_sick", "1 while this Triton cannot serve a route that enough others serve.", ("loop",))
TRITON_LIVE = Gauge("driftloop_triton_live", "1 while Triton answers.", ())
WAITS = Counter("driftloop_converge_waits", "Attempts to serve a route that Triton did not answer.", ("loop",))
