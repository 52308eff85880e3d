"""Metrics of the serving agent."""

from driftloop.process.telemetry import Counter, Gauge, Histogram

SHIPPED = Counter(
    "driftloop_predictions_shipped",
    "Predictions sent from the spool to the log, by who answered; purpose is client or probe.",
    ("loop", "release", "arm", "purpose"),
)
STALE_VIEWS = Counter(
    "driftloop_stale_views_served", "Views that a client's prediction got as missing for their age.", ("loop", "view")
)
FEATURE_AGE = Gauge(
    "driftloop_feature_age_seconds", "Decision time less feature watermark of the newest prediction shipped.", ("loop",)
)
TORN = Counter("driftloop_spool_torn", "Segments whose writer died in the middle of a batch.", ("loop",))
SHIP_SECONDS = Histogram(
    "driftloop_ship_seconds", "Time to read, send and get acknowledged what the spool held.", ("loop",)
)
WATERMARK = Gauge("driftloop_prediction_watermark_ms", "Newest prediction watermark that was sent.", ("loop",))
SHIP_FAILED = Counter("driftloop_ship_failed", "Passes that the broker did not acknowledge; they are made again.", ())
EPOCH = Gauge("driftloop_route_epoch", "Epoch of the route that the router answers by.", ("loop",))
ROUTES = Counter("driftloop_routes", "Routes by how they ended: converged, failed or restored.", ("loop", "outcome"))
CONVERGE_SECONDS = Histogram(
    "driftloop_route_converge_seconds", "From the receipt of a route to its probe's answer.", ("loop",)
)
TRITON_LIVE = Gauge("driftloop_triton_live", "1 while Triton answers.", ())
WAITS = Counter("driftloop_converge_waits", "Tries to serve a route that Triton did not answer.", ("loop",))
