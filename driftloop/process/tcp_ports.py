"""TCP ports, from `.env` or from a port base. With different bases, several systems run on one machine.

A port is the first of: the environment variable of its name; base plus offset, if there is a base; the value in `.env`.
The base is `PORT_BASE` from the environment, or else from `.env`. Offsets are less than `SPAN` and bases are multiples
of `SPAN`, so two bases never share a port.

``python -m driftloop.process.tcp_ports`` prints `.env` with the ports in effect, for the start scripts and for
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
"""Below the ephemeral ports of outgoing connections."""

OFFSETS: Mapping[str, int] = MappingProxyType(
    {
        "KAFKA_PORT": 0,
        "KAFKA_CONTROLLER_PORT": 1,
        "TRITON_GRPC_PORT": 10,
        "TRITON_METRICS_PORT": 12,
        "MLFLOW_PORT": 20,
        "PROMETHEUS_PORT": 30,
        "GRAFANA_PORT": 31,
        "ALERTMANAGER_PORT": 32,
        "POSTGRES_PORT": 40,
        "REDIS_PORT": 41,
        "OBJECT_STORE_PORT": 42,
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
        "CLUSTER_PORT": 62,
    }
)
"""Offset from the base, by name. Do not change an offset: people note the resulting ports."""
CLUSTER_SPAN = 38
"""Number of consecutive ports of a cluster on one machine, from ``CLUSTER_PORT`` on."""


@cache
def env_file() -> dict[str, str]:
    """Return the variables of `.env`."""
    lines = (line.strip() for line in _FILE.read_text().splitlines())
    return dict(line.split("=", 1) for line in lines if line and not line.startswith("#"))


def port_base() -> int:
    """Return the base from the environment or `.env`, or 0 if neither has one.

    Raises:
        ConfigError: the value is not a valid port base.
    """
    text = os.environ.get(BASE) or env_file().get(BASE) or "0"
    return checked_base(int(text) if text.isdigit() else text)


def checked_base(base: int | str) -> int:
    """Return a valid base unchanged; 0 means no base.

    Raises:
        ConfigError: the value is not a valid port base.
    """
    if base == 0 or (isinstance(base, int) and base % SPAN == 0 and _LEAST <= base <= _MOST):
        return int(base)
    raise ConfigError(f"{BASE} is {base!r}; use a multiple of {SPAN} from {_LEAST} to {_MOST}, or leave it empty")


def port(name: str, base: int | None = None) -> int:
    """Return the port of a name such as ``KAFKA_PORT``. ``base``: the port base, or 0 for the numbers of `.env`.

    Raises:
        ConfigError: the port is not set, or is not from 1 to 65535.
    """
    base = port_base() if base is None else base
    text = os.environ.get(name) or (str(base + OFFSETS[name]) if base and name in OFFSETS else env_file().get(name))
    if text is None or not text.isdigit() or not 0 < int(text) < 65536:
        raise ConfigError(f"{name} is {text!r}; set a port from 1 to 65535 in the environment or in .env")
    return int(text)


def local(name: str, base: int | None = None) -> str:
    """Return ``127.0.0.1:<port>`` for the port of that name."""
    return f"127.0.0.1:{port(name, base)}"


def names() -> list[str]:
    """Return the names of all ports."""
    return [name for name in env_file() if name.endswith(_SUFFIX)]


def variables(base: int) -> dict[str, str]:
    """Return all ports as environment variables for a new process."""
    return {name: str(port(name, base)) for name in names()}


def free_base(is_free: Callable[[int], bool], first: int = 0) -> int | None:
    """Return a base whose ports are all free, or None. Tries the suggested bases from the ``first``-th on."""
    bases = [*_SUGGESTED[first:], *_SUGGESTED[:first]]
    return next((base for base in bases if all(is_free(base + offset) for offset in OFFSETS.values())), None)


def _main() -> None:
    try:
        variables = _effective()
    except ConfigError as error:
        sys.stderr.write(f"driftloop: {error}\n")
        sys.exit(2)
    sys.stdout.write("".join(f"{name}={value}\n" for name, value in variables.items()))


def _effective() -> dict[str, str]:
    return {**env_file(), **variables(port_base()), BASE: str(port_base() or "")}


if __name__ == "__main__":
    _main()
