"""Metrics of the registry."""

from driftloop.process.telemetry import Counter, Gauge

VERDICTS = Counter(
    "driftloop_registry_verdicts", "Verdicts taken in, by whether they changed anything.", ("loop", "stage", "effect")
)
COMMANDS = Counter(
    "driftloop_registry_commands", "People's commands, by whether they changed anything.", ("loop", "command", "effect")
)
STAGES = Counter("driftloop_registry_stages_entered", "Releases that entered a stage.", ("loop", "stage"))
EPOCH = Gauge("driftloop_registry_epoch", "Newest epoch: counts every change of who answers.", ("loop",))
CONVERGED_EPOCH = Gauge(
    "driftloop_registry_converged_epoch", "Newest epoch that the router was seen to answer by.", ("loop",)
)
OPEN_RELEASES = Gauge("driftloop_registry_open_releases", "Releases in shadow or canary: 0 or 1.", ("loop",))
APPROVALS_WAITING = Gauge("driftloop_registry_approvals_waiting", "Releases that wait for a person: 0 or 1.", ("loop",))
ROUTES_FAILED = Counter("driftloop_registry_routes_failed", "Routes that could not be served.", ("loop",))
MIRROR_BACKLOG = Gauge(
    "driftloop_registry_mirror_backlog", "Releases whose copy in MLflow is older than their row.", ()
)
MIRRORED = Counter("driftloop_registry_mirrored", "Releases copied to MLflow, each time one changed.", ("loop",))
MIRROR_FAILURES = Counter("driftloop_registry_mirror_failures", "Copies to MLflow that are tried again.", ("loop",))
