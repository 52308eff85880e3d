"""Metrics of every lifecycle service."""

from driftloop.process.telemetry import Counter, Gauge, Histogram

HANDLED = Counter("driftloop_events_handled", "Lifecycle events whose effect stands.", ("service", "type"))
REPEATED = Counter(
    "driftloop_events_repeated", "Lifecycle events that came again and were skipped.", ("service", "type")
)
OTHER_LOOP = Counter(
    "driftloop_events_of_other_loops",
    "Lifecycle events of loops that this process does not run, which were skipped.",
    ("service", "topic"),
)
DEAD_LETTERED = Counter("driftloop_events_dead_lettered", "Lifecycle events refused for good.", ("service", "reason"))
RETRIED = Counter(
    "driftloop_events_retried", "Pauses before the same lifecycle event was tried again.", ("service", "topic")
)
HANDLE_SECONDS = Histogram(
    "driftloop_event_handle_seconds", "Time in a handler with its transaction.", ("service", "type")
)
PRUNED = Counter(
    "driftloop_events_pruned", "Ids of handled events and sent events that were deleted by age.", ("service", "table")
)
SENT = Counter("driftloop_outbox_sent", "Lifecycle events that the relay published.", ("service",))
BACKLOG = Gauge("driftloop_outbox_backlog", "Lifecycle events in the outbox that are not published yet.", ("service",))
LEADS = Gauge(
    "driftloop_leads", "Whether this instance of a service works (1) or waits as a standby (0).", ("service",)
)
LEASE_EPOCH = Gauge("driftloop_lease_epoch", "Epoch of the lease that this instance has.", ("service",))
