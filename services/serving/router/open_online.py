"""Opens the online store that the settings name."""

from __future__ import annotations

from pathlib import Path

from driftloop.featurestore.online_address import OnlineAddress
from services.serving.domain.loop_config import OnlineSource
from services.serving.router.online import OnlineFeatures
from services.serving.router.online_sqlite import OnlineStore


def open_online(source: OnlineSource, loop: str) -> OnlineFeatures:
    """Return the store. It connects on first use.

    Raises:
        ConfigError: the address is wrong.
    """
    if not source.url:
        return OnlineStore(Path(source.db), loop)
    from services.serving.router.online_redis import OnlineRedis  # slow to import, and only Redis needs it

    return OnlineRedis(OnlineAddress.parse(source.url, source.password_file, source.ca_file), loop)
