"""Ports: numbers stand in `.env`, or follow from one base, so that systems can run side by side.

A port is, in this order: what the environment says under its name; where there is a base, the base and the port's
offset; what `.env` says. The base is `PORT_BASE` in the environment, or else in `.env`. Offsets are less than
`SPAN` and a base is a multiple of it, so ports of two bases are never the same.

``python -m driftloop.process.tcp_ports`` prints `.env` with all ports as they are now: for the start scripts, and for
`docker-compose --env-file`.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path
from types import MappingProxyType

from driftloop.process.errors import ConfigError

_FILE = Path(__file__).resolve().parents[2] / ".env"
_SUFFIX = "_PORT"

BASE = "PORT_BASE"
SPAN = 100
_LEAST, _MOST = 1_100, 65_400
_SUGGESTED = range(20_000, 32_700, SPAN)
"""Below the ports that a machine gives to outgoing connections."""

OFFSETS: Mapping[str, int] = MappingProxyType(
    {
        "KAFKA_PORT": 0,
        "KAFKA_CONTROLLER_PORT": 1,
        "TRITON_GRPC_PORT": 10,
        "TRITON_HTTP_PORT": 11,
        "TRITON_METRICS_PORT": 12,
        "MLFLOW_PORT": 20,
        "PROMETHEUS_PORT": 30,
        "GRAFANA_PORT": 31,
        "ALERTMANAGER_PORT": 32,
        "POSTGRES_PORT": 40,
        "REDIS_PORT": 41,
        "INGESTION_PORT": 50,
        "FEATURES_PORT": 51,
        "TRAINING_PORT": 52,
        "EVALUATION_PORT": 53,
        "REGISTRY_PORT": 54,
        "SERVING_PORT": 55,
        "MONITORING_PORT": 56,
        "DETECTORS_PORT": 57,
        "CONTROL_PORT": 58,
        "CONTROL_GRPC_PORT": 60,
        "CONTROL_HTTP_PORT": 61,
        "SUPERVISOR_PORT": 90,
        "SUPERVISOR_EVENTS_PORT": 91,
    }
)
"""A port less the base, by name. A number that is given stays: people write the sums down."""


@cache
def _file() -> dict[str, str]:
    lines = (line.strip() for line in _FILE.read_text().splitlines())
    return dict(line.split("=", 1) for line in lines if line and not line.startswith("#"))


def port_base() -> int:
    """The base that the environment or `.env` gives; 0 where neither does.

    Raises:
        ConfigError: the value is not a valid port base.
    """
    text = os.environ.get(BASE) or _file().get(BASE) or "0"
    return checked_base(int(text) if text.isdigit() else text)


def checked_base(found: int | str) -> int:
    """A base as it is; 0 for none.

    Raises:
        ConfigError: ports cannot be counted from it.
    """
    if found == 0 or (isinstance(found, int) and found % SPAN == 0 and _LEAST <= found <= _MOST):
        return int(found)
    raise ConfigError(f"{BASE} is {found!r}; give a multiple of {SPAN} from {_LEAST} to {_MOST}, or nothing")


def port(name: str, base: int | None = None) -> int:
    """The port of that name, such as ``KAFKA_PORT``. ``base``: where it is counted from, 0 for `.env`'s numbers.

    Raises:
        ConfigError: nothing names it, or it is no port.
    """
    base = port_base() if base is None else base
    text = os.environ.get(name) or (str(base + OFFSETS[name]) if base and name in OFFSETS else _file().get(name))
    if text is None or not text.isdigit() or not 0 < int(text) < 65536:
        raise ConfigError(f"{name} is {text!r}; give a port from 1 to 65535 in the environment or in .env")
    return int(text)


def local(name: str, base: int | None = None) -> str:
    """``127.0.0.1:<port>`` for the port of that name."""
    return f"127.0.0.1:{port(name, base)}"


def names() -> list[str]:
    """Names of all ports."""
    return [name for name in _file() if name.endswith(_SUFFIX)]


def variables(base: int) -> dict[str, str]:
    """All ports as variables, for the environment of a process that is started."""
    return {name: str(port(name, base)) for name in names()}


def free_base(is_free: Callable[[int], bool], first: int = 0) -> int | None:
    """A base whose ports are all free, from the ``first``-th of those that are tried on; None if there is none."""
    tried = [*_SUGGESTED[first:], *_SUGGESTED[:first]]
    return next((found for found in tried if all(is_free(found + offset) for offset in OFFSETS.values())), None)


def _main() -> None:
    try:
        told = _told()
    except ConfigError as error:
        sys.stderr.write(f"driftloop: {error}\n")
        sys.exit(2)
    sys.stdout.write("".join(f"{name}={value}\n" for name, value in told.items()))


def _told() -> dict[str, str]:
    return {**_file(), **variables(port_base()), BASE: str(port_base() or "")}


if __name__ == "__main__":
    _main()
