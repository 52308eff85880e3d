"""Ports of the agent."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Protocol

from driftloop.loop import LoopDefinition
from driftloop.model.bundle import Bundle
from driftloop.process.errors import DriftloopError
from services.serving.domain.probe import GoldenRow, ProbeAnswer, Value
from services.serving.domain.route import Route, RouteStatus


class LoadRefused(DriftloopError):
    """Triton answered that it cannot load a model or answer a request."""


class Triton(Protocol):
    """The inference server. Calls raise `driftloop.process.errors.Retriable` if it does not answer."""

    def live(self) -> bool:
        """Return whether it answers; never raise."""
        ...

    def model_ready(self, model: str) -> bool: ...

    def load(self, model: str) -> None:
        """Load or reload a model. The loaded one answers until the new one is ready.

        Raises:
            LoadRefused: the model cannot be loaded.
        """
        ...

    def unload(self, model: str) -> None: ...

    def probe(self, model: str, request_id: str, values: Mapping[str, Value], types: Mapping[str, str]) -> ProbeAnswer:
        """Send one inference request, marked as a probe.

        Raises:
            LoadRefused: the model answered with an error.
        """
        ...


class Releases(Protocol):
    """Bundles staged for the router."""

    def stage(self, release_id: str, uri: str, digest: str) -> Bundle:
        """Copy a bundle to where the router loads it, verify it and return it. Repeating this is cheap.

        Raises:
            BundleError: the bundle is missing or differs from its digest.
        """
        ...

    def golden_row(self, bundle: Bundle) -> GoldenRow:
        """Return the first row of the golden sample.

        Raises:
            BundleError: the sample cannot be read.
        """
        ...


class RouterFiles(Protocol):
    """The files that agent and router exchange."""

    def render_model(self, definition: LoopDefinition) -> bool:
        """Write the model's folder and return whether a file changed."""
        ...

    def announce(self, route: Route) -> None:
        """Delete the status, then write the route."""
        ...

    def withdraw(self, loop: str) -> None:
        """Delete a loop's route and status."""
        ...

    def status(self, loop: str) -> RouteStatus | None:
        """Return the router's status of the last announced route, or None before it wrote one."""
        ...


class SpoolPositions(Protocol):
    """The shipped position in each segment of a spool."""

    def load(self, loop: str) -> dict[int, int]:
        """Return the shipped bytes by segment."""
        ...

    def save(self, loop: str, positions: Mapping[int, int]) -> None:
        """Replace the stored positions, durably."""
        ...


class WriterStarts(Protocol):
    """What outlives a start of the agent as a writer of the prediction log."""

    def begin(self, loops: Sequence[str], least: int) -> dict[str, tuple[int, int | None]]:
        """Store a new start for each loop, at least ``least`` and greater than all before it.

        Returns it with the newest watermark that was saved, by loop.
        """
        ...

    def save(self, watermarks_ms: Mapping[str, int]) -> None:
        """Save the newest watermark of loops that have begun."""
        ...


class SpoolSource(Protocol):
    """A loop's prediction log on disk."""

    def read(self, positions: Mapping[int, int]) -> tuple[Sequence[bytes], dict[int, int]]:
        """Return the records after the positions, and the new positions."""
        ...

    def drop_complete(self, positions: Mapping[int, int]) -> dict[int, int]:
        """Delete complete and shipped segments; return the positions of the others."""
        ...

    def keep_refused(self, record: bytes, digest: str) -> Path:
        """Store a record that the broker refuses under its digest, and return the file."""
        ...
