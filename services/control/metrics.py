"""Metrics of the control service."""

from driftloop.process.telemetry import Counter, Gauge, Histogram

EVENTS = Counter("driftloop_control_events", "Lifecycle events taken into the read model.", ("type",))
REFUSED = Counter("driftloop_control_events_refused", "Lifecycle records that could not be read.", ("reason",))
INDEXED = Counter("driftloop_control_predictions_indexed", "Predictions whose place in the log was noted.", ())
COMMANDS = Counter("driftloop_control_commands", "Commands of people, by what became of them.", ("command", "answer"))
CALLS = Counter("driftloop_control_calls", "Calls of the API, by status code.", ("method", "code"))
CALL_SECONDS = Histogram("driftloop_control_call_seconds", "Time in a call that is no stream.", ("method",))
STREAMS = Gauge("driftloop_control_streams", "Timelines that are followed now.", ())
PAGES = Gauge("driftloop_control_pages", "Web pages that follow what happens.", ())
