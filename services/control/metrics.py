"""Metrics of the control service."""

from driftloop.process.telemetry import Counter, Gauge, Histogram

EVENTS = Counter("driftloop_control_events", "Lifecycle events stored in the read model.", ("type",))
REFUSED = Counter("driftloop_control_events_refused", "Lifecycle records that could not be read.", ("reason",))
UNINDEXED = Counter("driftloop_control_predictions_unindexed", "Predictions whose id could not be read.", ())
INDEXED = Counter("driftloop_control_predictions_indexed", "Predictions added to the index.", ())
COMMANDS = Counter("driftloop_control_commands", "User commands, by result.", ("command", "answer"))
CALLS = Counter("driftloop_control_calls", "Calls of the API, by status code.", ("method", "code"))
CALL_SECONDS = Histogram("driftloop_control_call_seconds", "Duration of calls other than streams.", ("method",))
STREAMS = Gauge("driftloop_control_streams", "Followed timelines.", ())
PAGES = Gauge("driftloop_control_pages", "Web pages that follow events.", ())
