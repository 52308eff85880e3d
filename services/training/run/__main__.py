"""Executes a run: ``python -m services.training.run --spec SPEC``. A crash gives no result file and a traceback."""

from __future__ import annotations

import argparse
import os
from pathlib import Path

from driftloop.process import log
from driftloop.process.private_files import keep_files_private
from services.training.errors import DataError, ModelError
from services.training.run.exit import exit_now
from services.training.run.pipeline import execute
from services.training.spec import Failed, Result, read_spec, write_pid, write_result


def main() -> int:
    """Execute the run and write its result; return the exit code."""
    keep_files_private()
    parser = argparse.ArgumentParser()
    parser.add_argument("--spec", type=Path, required=True)
    path = parser.parse_args().spec
    spec = read_spec(path)
    write_pid(Path(spec.folder), os.getpid())
    log.configure("training-run", os.environ.get("DRIFTLOOP_LOG_LEVEL", "INFO"))
    try:
        result: Result = execute(spec, path)
    except DataError as error:
        result = Failed("data", str(error))
    except ModelError as error:
        log.get(__name__).exception("model", run_id=spec.run_id)
        result = Failed("error", str(error))
    write_result(Path(spec.folder), result)
    return 0


if __name__ == "__main__":
    exit_now(main())
