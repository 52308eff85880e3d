"""Reads feature watermarks the way the router does."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

from services.serving.router.online_sqlite import OnlineStore


def newest_watermark_ms(online_db: Path, loop: str) -> int:
    """Return the greatest watermark of the loop's views, or 0."""
    with closing(OnlineStore(online_db, loop)) as store:
        return max(store.watermarks().values(), default=0)
