"""Makes the import of Feast cheap, for a process that needs neither torch nor Feast's run-time type checks.

Feast imports torch to return tensors, and lets typeguard rewrite its classes at every import. Without the two it takes
a quarter of the time and 460 MiB less.
"""

from __future__ import annotations

import sys
import warnings
from typing import Any


def load() -> None:
    """Import Feast before anything else imports it. A repeat has no effect. torch can still be imported afterwards."""
    if "feast" not in sys.modules:
        _load()
    # Feast warns about each view. Here the views are only declarations, and Feast executes nothing of them. Its import
    # sets a filter of its own, so this one comes after it.
    warnings.filterwarnings("ignore", "Stream feature views are experimental", RuntimeWarning)


def _load() -> None:
    import typeguard

    checked, typeguard.typechecked = typeguard.typechecked, _as_it_is
    imported = "torch" in sys.modules
    sys.modules.setdefault("torch", None)  # type: ignore[arg-type]  # None: an import of it fails at once
    try:
        import feast  # noqa: F401  # for its cost
    finally:
        typeguard.typechecked = checked
        if not imported:
            del sys.modules["torch"]


def _as_it_is(target: Any = None, **_options: Any) -> Any:
    """Replace `typeguard.typechecked`, as ``python -O`` does: return the target unchanged."""
    return _as_it_is if target is None else target
