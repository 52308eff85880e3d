"""Makes Feast's import cheap, for a process that needs neither torch nor Feast's run-time type checks.

Feast imports torch to hand out tensors, and has typeguard rewrite its classes at every import. Without both it takes a
quarter of the time and 460 MiB less.
"""

from __future__ import annotations

import sys
import warnings
from typing import Any


def load() -> None:
    """Import Feast so, before anything else imports it; again is a no-op. torch can still be imported afterwards."""
    if "feast" not in sys.modules:
        _load()
    # Said at every view, of a part of Feast that is only written down here: nothing of it runs. Feast's import sets a
    # filter of its own, so ours comes behind it.
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
    """`typeguard.typechecked` as it is under ``python -O``."""
    return _as_it_is if target is None else target
