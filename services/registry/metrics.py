"""Metrics of the registry."""

from driftloop.process.telemetry import Counter, Gauge

VERDICTS = Counter(
    "driftloop_registry_verdicts", "Verdicts by effect: applied or ignored.", ("loop", "stage", "effect")
)
COMMANDS = Counter(
    "driftloop_registry_commands", "User commands by effect: applied or ignored.", ("loop", "command", "effect")
)
STAGES = Counter("driftloop_registry_stages_entered", "Releases that entered a stage.", ("loop", "stage"))
EPOCH = Gauge("driftloop_registry_epoch", "Newest epoch: number of route changes.", ("loop",))
CONVERGED_EPOCH = Gauge("driftloop_registry_converged_epoch", "Newest epoch that the router served.", ("loop",))
OPEN_RELEASES = Gauge("driftloop_registry_open_releases", "Releases in shadow or canary: 0 or 1.", ("loop",))
APPROVALS_WAITING = Gauge(
    "driftloop_registry_approvals_waiting", "Releases that wait for an approval: 0 or 1.", ("loop",)
)
ROUTES_FAILED = Counter("driftloop_registry_routes_failed", "Routes that could not be served.", ("loop",))
MIRROR_BACKLOG = Gauge(
    "driftloop_registry_mirror_backlog", "Releases whose copy in MLflow is older than their row.", ()
)
MIRRORED = Counter("driftloop_registry_mirrored", "Releases copied to MLflow, each time one changed.", ("loop",))
MIRROR_FAILURES = Counter("driftloop_registry_mirror_failures", "Failed copies to MLflow; each is retried.", ("loop",))
