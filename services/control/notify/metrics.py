"""Metrics of the notices to people."""

from driftloop.process.telemetry import Counter, Gauge

NOTICES = Counter(
    "driftloop_notices",
    "Notices put in the queue, once an episode: waiting, or passed-over where their event was too old to tell of.",
    ("loop", "kind", "state"),
)
SENT = Counter("driftloop_notices_sent", "Notices that the receiver took.", ("loop", "kind"))
RETRIED = Counter("driftloop_notices_retried", "Tries to send that are made again.", ("loop", "kind"))
GIVEN_UP = Counter("driftloop_notices_given_up", "Notices that nobody will get.", ("loop", "kind"))
WAITING = Gauge("driftloop_notices_waiting", "Notices that were not sent yet.", ())
