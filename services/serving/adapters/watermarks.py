"""Reads feature watermarks the way the router does."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

from services.serving.router.online_sqlite import OnlineStore


class SqliteFeatureWatermarks:
    """`services.serving.ports.FeatureWatermarks` over the online store."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def newest_ms(self, loop: str) -> int:
        with closing(OnlineStore(self._path, loop)) as store:
            return max(store.watermarks().values(), default=0)
