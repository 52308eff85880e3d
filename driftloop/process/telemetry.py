"""Metrics and traces on the OpenTelemetry SDK.

A service declares its metrics as data in its ``metrics.py``. The first use of a metric creates its instrument.
A process calls `start` once: it exposes the metrics to Prometheus and can write spans to a file as JSON lines.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

from opentelemetry import metrics, propagate, trace
from opentelemetry.exporter.prometheus import PrometheusMetricReader
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.view import ExplicitBucketHistogramAggregation, View
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, ConsoleSpanExporter

from driftloop.process.redaction import redact

_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0)


@dataclass(frozen=True)
class Metric:
    """A declared metric. ``name``: as Prometheus shows it, but counters gain ``_total``. ``help``: one sentence."""

    name: str
    help: str
    labels: tuple[str, ...] = field(default=())

    def _check(self, labels: dict[str, str]) -> dict[str, Any]:
        if set(labels) != set(self.labels):
            raise ValueError(f"metric {self.name} has the labels {self.labels}; got {tuple(labels)}")
        return dict(labels)


@dataclass(frozen=True)
class Counter(Metric):
    """A count that only grows."""

    def add(self, amount: float = 1, **labels: str) -> None:
        _counter(self.name, self.help).add(amount, self._check(labels))


@dataclass(frozen=True)
class Gauge(Metric):
    """A current value."""

    def set(self, value: float, **labels: str) -> None:
        _gauge(self.name, self.help).set(value, self._check(labels))


@dataclass(frozen=True)
class Histogram(Metric):
    """Durations in seconds."""

    def record(self, seconds: float, **labels: str) -> None:
        _histogram(self.name, self.help).record(seconds, self._check(labels))


@cache
def _counter(name: str, text: str) -> metrics.Counter:
    return metrics.get_meter("driftloop").create_counter(name, description=text)


@cache
def _gauge(name: str, text: str) -> Any:
    return metrics.get_meter("driftloop").create_gauge(name, description=text)


@cache
def _histogram(name: str, text: str) -> metrics.Histogram:
    return metrics.get_meter("driftloop").create_histogram(name, description=text)


def start(service: str, spans: Path | None = None) -> None:
    """Start telemetry in this process. Write spans to the file ``spans``, one JSON object per line."""
    resource = Resource.create({"service.name": service, "service.namespace": "driftloop"})
    buckets = View(instrument_type=metrics.Histogram, aggregation=ExplicitBucketHistogramAggregation(_SECONDS))
    metrics.set_meter_provider(
        MeterProvider(
            resource=resource, metric_readers=[PrometheusMetricReader(disable_target_info=True)], views=[buckets]
        )
    )
    provider = TracerProvider(resource=resource)
    if spans is not None:
        spans.parent.mkdir(parents=True, exist_ok=True)
        exporter = ConsoleSpanExporter(out=spans.open("a", buffering=1), formatter=_line)
        provider.add_span_processor(BatchSpanProcessor(exporter))
    trace.set_tracer_provider(provider)


def _line(span: ReadableSpan) -> str:
    return f"{redact(span.to_json(indent=None))}\n"


@contextmanager
def span(name: str, traceparent: str | None, **attributes: str) -> Iterator[str | None]:
    """Run the block in a span below ``traceparent`` (W3C Trace Context); yield the traceparent for events it causes."""
    context = propagate.extract({"traceparent": traceparent} if traceparent else {})
    with trace.get_tracer("driftloop").start_as_current_span(name, context=context, attributes=attributes):
        headers: dict[str, str] = {}
        propagate.inject(headers)
        yield headers.get("traceparent")
