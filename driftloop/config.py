"""Settings that every process shares, from the environment and `.env`; a service's own extend them.

Every setting is read from `DRIFTLOOP_<NAME>`; ports and addresses default to what `.env` says.
"""

from __future__ import annotations

from pathlib import Path

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict

from driftloop.ports import local

ROOT = Path(__file__).resolve().parents[1]


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
    kafka_bootstrap: str = Field(default_factory=lambda: local("KAFKA_PORT"))
    """Kafka's bootstrap servers, `host:port[,host:port]`."""
    triton_grpc: str = Field(default_factory=lambda: local("TRITON_GRPC_PORT"))
    """Triton's gRPC address, `host:port`."""
    triton_http: str = Field(default_factory=lambda: local("TRITON_HTTP_PORT"))
    """Triton's HTTP address, `host:port`."""
    triton_metrics: str = Field(default_factory=lambda: local("TRITON_METRICS_PORT"))
    """Triton's metrics address, `host:port`."""
    control_grpc: str = Field(default_factory=lambda: local("CONTROL_GRPC_PORT"))
    """The control service's gRPC address, `host:port`."""
    triton_control_token: str = "driftloop-local"  # noqa: S105 - keeps accidents out, on loopback
    """Value of the header that Triton's load and unload calls need."""
    mlflow_uri: str = Field(default_factory=lambda: f"http://{local('MLFLOW_PORT')}")
    """MLflow's tracking and registry address."""
    state_url: str = ""
    """SQLAlchemy URL with `{service}` in it; empty means SQLite files below `home`."""
    health_port: int = Field(default=0, ge=0, le=65535)
    """Port of `/live`, `/ready` and `/metrics` of this process; 0 takes any free one."""
    log_level: str = "INFO"
    """Least level that is logged."""
    seed: int = 0
    """Seed of what is random in a process (back-off jitter, prediction ids)."""

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
