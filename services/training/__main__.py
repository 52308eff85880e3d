"""Starts the training service: ``python -m services.training``."""

import sys

from driftloop.process.serve import serve
from driftloop.runner.alone import alone
from services.training.bootstrap import NAME, build
from services.training.config import TrainingSettings

if __name__ == "__main__":
    sys.exit(serve(NAME, TrainingSettings(), alone(NAME, build)))
