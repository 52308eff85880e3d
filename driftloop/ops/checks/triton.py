"""Checks Triton's own count of inferences."""

from __future__ import annotations

import urllib.request
from collections.abc import Sequence

import tritonclient.grpc as triton
from prometheus_client.parser import text_string_to_metric_families

from driftloop.ops.checks.model import Check


def inference_count(tritons: Sequence[tuple[str, str]], model: str, served: int) -> Check:
    """Check the rows that all Tritons answered since their start against records of the log, including probes.

    Triton also counts rows that the model refuses; the router reports their number in Triton's metrics. ``tritons``:
    addresses ``host:port`` of gRPC and metrics.
    """
    counted = sum(_counted_rows(address, model) for address, _ in tritons)
    refused = sum(refused_rows(metrics, model) for _, metrics in tritons)
    unequal = abs(counted - refused - served)
    return Check(
        "inferences that Triton counted", served, unequal, f"Triton reports {counted}, {refused} of them refused"
    )


def _counted_rows(address: str, model: str) -> int:
    with triton.InferenceServerClient(address) as client:
        stats = client.get_inference_statistics(model, as_json=True)
    return sum(int(model_stats.get("inference_count", 0)) for model_stats in stats.get("model_stats", []))


def refused_rows(metrics: str, loop: str) -> int:
    """Return the rows that the loop's router refused since it was loaded, from Triton's metrics ``host:port``."""
    with urllib.request.urlopen(f"http://{metrics}/metrics", timeout=10.0) as answer:
        text = answer.read().decode()
    return int(
        sum(
            sample.value
            for family in text_string_to_metric_families(text)
            for sample in family.samples
            if sample.name == "driftloop_refused_rows_total" and sample.labels.get("loop") == loop
        )
    )
