"""Ends the processes of a run."""

from __future__ import annotations

import os
import sys


def exit_now(code: int) -> None:
    """End the process at once. An orderly shutdown of torch, Feast and MLflow takes a second and writes nothing."""
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)
