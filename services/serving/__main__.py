"""Starts the agent that runs beside Triton: ``python -m services.serving``."""

import sys

from driftloop.process.serve import serve
from driftloop.runner.alone import alone
from services.serving.bootstrap import NAME, build
from services.serving.config import ServingSettings

if __name__ == "__main__":
    sys.exit(serve(NAME, ServingSettings(), alone(NAME, build)))
