"""Settings that every process shares, from the environment and `.env`; a service's own extend them.

Every setting is read from `DRIFTLOOP_<NAME>`. Ports and addresses default to `driftloop/process/tcp_ports.py`.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from pydantic import Field, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from driftloop.process import tcp_ports

ROOT = Path(__file__).resolve().parents[2]


def _at(port: str, address: str = "{}") -> Callable[[dict[str, Any]], str]:
    """Makes the default of an address: this machine's port of that name, counted from the settings' base."""
    return lambda settings: address.format(tcp_ports.local(port, settings.get("port_base")))


class Settings(BaseSettings):
    """Where the shared parts are. Frozen; unknown settings given in code are refused."""

    model_config = SettingsConfigDict(
        env_prefix="DRIFTLOOP_", frozen=True, extra="forbid", env_file=None, arbitrary_types_allowed=False
    )

    home: Path = ROOT / "var"
    """Folder of all state on local disk."""
    loops_dir: Path = ROOT / "loops"
    """Folder that holds a folder for each loop."""
    loops: tuple[str, ...] = ()
    """Names of the loops to run; empty runs all in `loops_dir`. As JSON: `["orders"]`."""
    feature_repo: Path = ROOT / "feature_repo"
    """Folder of the Feast definitions."""
    host: str = "127.0.0.1"
    """Address that servers of this machine listen on."""
    port_base: int = Field(default_factory=tcp_ports.port_base)
    """What all ports are counted from, `PORT_BASE` unless set; 0 takes the numbers of `.env`."""
    kafka_bootstrap: str = Field(default_factory=_at("KAFKA_PORT"))
    """Kafka's bootstrap servers, `host:port[,host:port]`."""
    triton_grpc: str = Field(default_factory=_at("TRITON_GRPC_PORT"))
    """Triton's gRPC address, `host:port`."""
    triton_http: str = Field(default_factory=_at("TRITON_HTTP_PORT"))
    """Triton's HTTP address, `host:port`."""
    triton_metrics: str = Field(default_factory=_at("TRITON_METRICS_PORT"))
    """Triton's metrics address, `host:port`."""
    control_grpc: str = Field(default_factory=_at("CONTROL_GRPC_PORT"))
    """The control service's gRPC address, `host:port`."""
    control_http: str = Field(default_factory=_at("CONTROL_HTTP_PORT"), pattern=r"^[^/]+:\d+$")
    """Where people find the control service's web page, `host:port`. It listens on that port of `host`."""
    triton_control_token: str = "driftloop-local"  # noqa: S105 - keeps accidents out, on loopback
    """Value of the header that Triton's load and unload calls need."""
    mlflow_uri: str = Field(default_factory=_at("MLFLOW_PORT", "http://{}"))
    """MLflow's tracking and registry address."""
    state_url: str = ""
    """SQLAlchemy URL with `{service}` in it; empty means SQLite files below `home`."""
    health_port: int = Field(default=0, ge=0, le=65535)
    """Port of `/live`, `/ready` and `/metrics` of this process; 0 takes any free one."""
    log_level: str = "INFO"
    """Least level that is logged."""
    seed: int = 0
    """Seed of what is random in a process (back-off jitter, prediction ids)."""

    @field_validator("port_base")
    @classmethod
    def _a_base(cls, found: int) -> int:
        return tcp_ports.checked_base(found)

    def port(self, name: str) -> int:
        """The port of that name of this system."""
        return tcp_ports.port(name, self.port_base)

    def local(self, name: str) -> str:
        """``127.0.0.1:<port>`` for the port of that name of this system."""
        return tcp_ports.local(name, self.port_base)

    def variables(self) -> dict[str, str]:
        """The environment under which another process has these settings, apart from what is a process's own."""
        shared = Settings.model_fields.keys() - {"health_port"}
        return tcp_ports.variables(self.port_base) | {
            f"DRIFTLOOP_{name.upper()}": _text(getattr(self, name)) for name in sorted(shared)
        }

    def database_url(self, service: str) -> str:
        """SQLAlchemy URL of a service's own database; makes the folder of an SQLite file."""
        if self.state_url:
            return self.state_url.format(service=service)
        folder = self.home / "state"
        folder.mkdir(parents=True, exist_ok=True)
        return f"sqlite:///{folder / f'{service}.db'}"

    @property
    def lake(self) -> Path:
        """Root of the Delta tables."""
        return self.home / "lake"

    @property
    def online_db(self) -> Path:
        """Feast's SQLite online store."""
        return self.home / "online" / "online.db"

    @property
    def bundles(self) -> Path:
        """Root of the bundles that training writes."""
        return self.home / "bundles"

    @property
    def spool(self) -> Path:
        """Root of the router's prediction log on disk."""
        return self.home / "spool"

    @property
    def triton(self) -> Path:
        """Root of staged releases, routes and Triton's model repository."""
        return self.home / "triton"


def _text(value: Any) -> str:
    """As a variable: a folder is the same one wherever the process starts."""
    if isinstance(value, tuple):
        return json.dumps(value)
    return str(value.absolute() if isinstance(value, Path) else value)
