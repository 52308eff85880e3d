"""Starts the ingestion service: ``python -m services.ingestion``."""

import sys

from driftloop.process.serve import serve
from driftloop.runner.alone import alone
from services.ingestion.bootstrap import NAME, build
from services.ingestion.config import IngestionSettings

if __name__ == "__main__":
    sys.exit(serve(NAME, IngestionSettings(), alone(NAME, build)))
