"""The header without which Triton loads and unloads nothing."""

CONTROL_HEADER = "triton-grpc-protocol-driftloop-control"
"""By gRPC; its value is `driftloop.process.settings.Settings.triton_control_token`."""
