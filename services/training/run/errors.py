"""Why a run ends without a bundle."""

from __future__ import annotations

from driftloop.process.errors import DriftloopError


class DataError(DriftloopError):
    """The window holds no data that a model could be trained on."""


class ModelError(DriftloopError):
    """The trained model is not what it must be: not finite, or its export differs."""
