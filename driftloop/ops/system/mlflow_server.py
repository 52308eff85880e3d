"""``python -m driftloop.ops.system.mlflow_server``: MLflow's tracking server in one process.

``mlflow server`` starts its workers as separate processes and stays beside them, so MLflow is imported twice: five
seconds and a quarter of a gigabyte on a small machine. This is its one worker alone. It gets the locations of its
stores from the variables that MLflow itself uses.
"""

from __future__ import annotations

import os
from pathlib import Path

import click

from driftloop.process.private_files import keep_files_private

_SQLITE = "sqlite:///"


@click.command()
@click.option("--host", default="127.0.0.1", show_default=True)
@click.option("--port", type=int, required=True)
@click.option(
    "--backend-store-uri", required=True, envvar="MLFLOW_BACKEND_STORE_URI", help="Database of runs and models."
)
@click.option("--artifacts-destination", required=True, help="Folder of artifacts, or one in a bucket.")
def main(host: str, port: int, backend_store_uri: str, artifacts_destination: str) -> None:
    """Serve until a signal."""
    keep_files_private()
    from mlflow.server import constants, handlers

    os.environ |= {
        constants.BACKEND_STORE_URI_ENV_VAR: backend_store_uri,
        constants.ARTIFACT_ROOT_ENV_VAR: "mlflow-artifacts:/",
        constants.ARTIFACTS_DESTINATION_ENV_VAR: artifacts_destination,
        constants.SERVE_ARTIFACTS_ENV_VAR: "true",
        "_MLFLOW_SGI_NAME": "uvicorn",
        "_MLFLOW_IN_JOB_EXECUTOR": "false",  # the stores run no code here
    }
    create_database(backend_store_uri)
    handlers.initialize_backend_stores(backend_store_uri, None, "mlflow-artifacts:/")
    import uvicorn
    from mlflow.server.fastapi_app import app  # reads the environment

    uvicorn.run(app, host=host, port=port, log_level="warning")


def create_database(uri: str) -> None:
    """Create MLflow's SQLite database, completely or not at all: a half-made one never starts."""
    path = Path(uri.removeprefix(_SQLITE))
    if not uri.startswith(_SQLITE) or path.exists():
        return
    from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore

    unfinished = path.with_suffix(".unfinished")
    unfinished.unlink(missing_ok=True)
    SqlAlchemyStore(f"{_SQLITE}{unfinished}", "mlflow-artifacts:/").engine.dispose()
    unfinished.replace(path)


if __name__ == "__main__":
    main()
