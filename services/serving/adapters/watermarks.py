"""Reads feature watermarks the way the router does."""

from __future__ import annotations

from contextlib import closing

from services.serving.domain.loop_config import OnlineSource
from services.serving.router.open_online import open_online


def newest_watermark_ms(online: OnlineSource, loop: str) -> int:
    """Return the greatest watermark of the loop's views, or 0."""
    with closing(open_online(online, loop)) as store:
        return max(store.watermarks().values(), default=0)
