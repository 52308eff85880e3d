"""Opens Feast and reads training rows from it.

Feast's settings file is in ``DRIFTLOOP_HOME``. It is rendered from ``feature_repo/feature_store.yaml``.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from string import Template

import pandas as pd
import yaml
from feast import FeatureStore

from driftloop.featurestore.offline_store import pinned_versions
from driftloop.featurestore.online_address import OnlineAddress
from driftloop.process.atomic_file import replace_file
from driftloop.process.errors import ConfigError
from driftloop.process.settings import Settings

_REGISTRY = "DRIFTLOOP_FEAST_REGISTRY"
"""Environment variable with the address of Feast's registry, if it is not in the home."""

_ONLINE_VARIABLE = "DRIFTLOOP_FEAST_ONLINE_VARIABLE"
"""Environment variable from which Feast reads the password of the online store."""


def open_store(settings: Settings) -> FeatureStore:
    """Open Feast with the registry, the online store and the lake of these settings.

    Raises:
        ConfigError: the process does not run in UTC, so Feast's SQLite store would shift every timestamp.
    """
    if os.environ.get("TZ") != "UTC":
        raise ConfigError("set TZ=UTC: Feast's SQLite store writes timestamps in the host's zone")
    _render(settings)
    return FeatureStore(repo_path=str(settings.home.resolve()))


def training_frame(
    store: FeatureStore, service: str, entities: pd.DataFrame, view_versions: Mapping[str, int]
) -> pd.DataFrame:
    """Return ``entities`` in its order, with a ``<view>__<feature>`` column for each feature of the service.

    ``entities``: join keys, ``event_timestamp``, and any other columns. ``view_versions``: Delta version by view, from
    ``features.offline-flushed``. A feature is NaN or None if no row was available at that time.
    """
    with pinned_versions(view_versions):
        job = store.get_historical_features(
            entity_df=entities, features=store.get_feature_service(service), full_feature_names=True
        )
        frame: pd.DataFrame = job.to_df()
    return frame


def _redis(settings: Settings) -> dict[str, object]:
    """Return Feast's settings of a Redis online store; the password is in an environment variable.

    Raises:
        ConfigError: the address is wrong, or Feast cannot read the password.
    """
    address = OnlineAddress.parse(settings.online_url, settings.online_password_file, settings.online_ca_file)
    parts = [f"{host}:{port}" for host, port in address.hosts]
    if not address.is_cluster:
        parts.append(f"db={address.db}")
    if address.uses_tls:
        parts += ["ssl=true", *([f"ssl_ca_certs={address.ca_file}"] if address.ca_file else [])]
    if password := address.password():
        if set(password) & set(',"\\'):
            raise ConfigError(f"{address.password_file}: Feast cannot read a password with a comma, quote or backslash")
        os.environ[_ONLINE_VARIABLE] = password
        parts += [f'password="${{{_ONLINE_VARIABLE}}}"', *([f"username={address.user}"] if address.user else [])]
    return {
        "type": "redis",
        "redis_type": "redis_cluster" if address.is_cluster else "redis",
        "connection_string": ",".join(parts),
        "full_scan_for_deletion": False,  # else Feast deletes the features of views that it no longer finds
    }


def _render(settings: Settings) -> Path:
    home = settings.home.resolve()
    for folder in ("feast", "online"):
        (home / folder).mkdir(parents=True, exist_ok=True)
    template = Template((settings.feature_repo / "feature_store.yaml").read_text())
    registry = f"sqlite:///{home / 'feast' / 'registry.db'}"
    if settings.state_url:  # may have a password, which Feast reads from the environment
        os.environ[_REGISTRY] = settings.state_url.format(service="feast")
        registry = f"${{{_REGISTRY}}}"
    text = template.substitute(
        home=home, registry=registry, online=settings.online_db.resolve(), shared=settings.store_url
    )
    if settings.online_url:
        content = {**yaml.safe_load(text), "online_store": _redis(settings)}
        text = json.dumps(content, indent=1)  # JSON is YAML, and its quotes protect what a password contains
    path = home / "feature_store.yaml"
    if not path.exists() or path.read_text() != text:
        replace_file(path, text)
    return path
