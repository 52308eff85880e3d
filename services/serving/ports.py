"""What the agent needs of the world around it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

from driftloop.loop import LoopDefinition
from driftloop.model.bundle import Bundle
from driftloop.process.errors import DriftloopError
from services.serving.domain.probe import Golden, ProbeAnswer, Value
from services.serving.domain.route import Route, RouteStatus


class LoadRefused(DriftloopError):
    """Triton answered that it cannot load a model, or that it cannot answer a request."""


class Triton(Protocol):
    """The inference server. Every call raises `driftloop.process.errors.Retriable` where it does not answer."""

    def live(self) -> bool:
        """Whether it answers at all; raises nothing."""
        ...

    def model_ready(self, model: str) -> bool:
        """Whether a model is loaded."""
        ...

    def load(self, model: str) -> None:
        """Load a model, or load it again beside the one that answers.

        Raises:
            LoadRefused: it cannot be loaded.
        """
        ...

    def unload(self, model: str) -> None:
        """Let go of a model."""
        ...

    def probe(self, model: str, request_id: str, values: Mapping[str, Value], types: Mapping[str, str]) -> ProbeAnswer:
        """One real inference, marked as a probe.

        Raises:
            LoadRefused: the model answered with an error.
        """
        ...


class Releases(Protocol):
    """Staged releases."""

    def stage(self, release_id: str, uri: str, digest: str) -> Bundle:
        """Have a verified copy of a bundle where the router looks; again is cheap.

        Raises:
            BundleError: the bundle is missing or is not what its digest says.
        """
        ...

    def golden(self, bundle: Bundle) -> Golden:
        """First row of the golden sample.

        Raises:
            BundleError: it cannot be read.
        """
        ...


class RouterFiles(Protocol):
    """The files through which agent and router speak."""

    def render_model(self, definition: LoopDefinition) -> bool:
        """Write the model's folder; whether anything in it changed."""
        ...

    def announce(self, route: Route) -> None:
        """Clear the status, then write the route."""
        ...

    def withdraw(self, loop: str) -> None:
        """Remove a loop's route."""
        ...

    def status(self, loop: str) -> RouteStatus | None:
        """What the router made of the route that was announced last; None until it says."""
        ...


class FeatureWatermarks(Protocol):
    """Watermarks beside the online store."""

    def newest_ms(self, loop: str) -> int:
        """Greatest watermark of the loop's views; 0 where there is none."""
        ...


class SpoolPositions(Protocol):
    """Up to where each segment of a spool has been shipped."""

    def load(self, loop: str) -> dict[int, int]:
        """Bytes shipped, by segment."""
        ...

    def save(self, loop: str, positions: Mapping[int, int]) -> None:
        """Note the positions durably, in place of those before."""
        ...


class SpoolSource(Protocol):
    """A loop's prediction log on disk."""

    def read(self, positions: Mapping[int, int]) -> tuple[Sequence[bytes], dict[int, int]]:
        """Records behind the positions, and the positions behind them."""
        ...

    def drop_complete(self, positions: Mapping[int, int]) -> dict[int, int]:
        """Delete segments that are complete and shipped; the positions of those that stay."""
        ...
