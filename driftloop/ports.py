"""Ports, from the environment or else from `.env`, the one file that names them."""

from __future__ import annotations

import os
from functools import cache
from pathlib import Path

from driftloop.errors import ConfigError

_FILE = Path(__file__).resolve().parents[1] / ".env"


@cache
def _file() -> dict[str, str]:
    lines = (line.strip() for line in _FILE.read_text().splitlines())
    return dict(line.split("=", 1) for line in lines if line and not line.startswith("#"))


def port(name: str) -> int:
    """The port of that name, such as ``KAFKA_PORT``.

    Raises:
        ConfigError: neither the environment nor `.env` names it, or it is no port.
    """
    text = os.environ.get(name) or _file().get(name)
    if text is None or not text.isdigit() or not 0 < int(text) < 65536:
        raise ConfigError(f"{name} is {text!r}; give a port from 1 to 65535 in the environment or in .env")
    return int(text)


def local(name: str) -> str:
    """``127.0.0.1:<port>`` for the port of that name."""
    return f"127.0.0.1:{port(name)}"


def names() -> list[str]:
    """Names of all ports."""
    return [name for name in _file() if name.endswith("_PORT")]
