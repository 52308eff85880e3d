"""Reasons for a run without a bundle."""

from __future__ import annotations

from driftloop.process.errors import DriftloopError


class DataError(DriftloopError):
    """The window has no data to train a model on."""


class LaunchRefused(DriftloopError):
    """A run can never be launched with these settings."""


class ModelError(DriftloopError):
    """The model's scores are not finite, or its export differs."""
