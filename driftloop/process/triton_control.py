"""Name of the header that Triton requires for load and unload calls."""

CONTROL_HEADER = "triton-grpc-protocol-driftloop-control"
"""gRPC header; its value is `driftloop.process.settings.Settings.control_token`."""
