"""Metrics of notices."""

from driftloop.process.telemetry import Counter, Gauge

NOTICES = Counter(
    "driftloop_notices",
    "Queued notices, one per episode: waiting, or passed-over if their event was too old.",
    ("loop", "kind", "state"),
)
SENT = Counter("driftloop_notices_sent", "Notices that the receiver accepted.", ("loop", "kind"))
RETRIED = Counter("driftloop_notices_retried", "Failed attempts that are retried.", ("loop", "kind"))
GIVEN_UP = Counter("driftloop_notices_given_up", "Notices that were given up.", ("loop", "kind"))
WAITING = Gauge("driftloop_notices_waiting", "Notices that wait to be sent.", ())
