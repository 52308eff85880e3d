"""How a run's processes end once what they made is on disk."""

from __future__ import annotations

import os
import sys


def leave(code: int) -> None:
    """End at once; to take down torch, Feast and MLflow in order takes a second and leaves nothing more behind."""
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)
