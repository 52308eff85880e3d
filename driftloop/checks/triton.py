"""Triton's own count of inferences."""

from __future__ import annotations

import tritonclient.grpc as triton

from driftloop.checks.model import Check


def inference_count(address: str, model: str, served: int) -> Check:
    """Rows that Triton says it has answered since it started, against records of the log, probes included."""
    with triton.InferenceServerClient(address) as client:
        stats = client.get_inference_statistics(model, as_json=True)
    counted = sum(int(each.get("inference_count", 0)) for each in stats.get("model_stats", []))
    return Check("inferences that Triton counted", served, abs(counted - served), f"Triton says {counted}")
