"""Names of the header and of the secret that Triton requires for load and unload calls."""

CONTROL_HEADER = "triton-grpc-protocol-driftloop-control"
"""gRPC header; its value is `driftloop.process.settings.Settings.control_token`."""

CONTROL_SECRET = "triton-control"  # noqa: S105 - a name
"""Name of the home's secret."""
