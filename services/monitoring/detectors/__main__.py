"""Starts the detectors: ``python -m services.monitoring.detectors``."""

import sys

from driftloop.process.serve import serve
from driftloop.runner.alone import alone
from services.monitoring.config import DetectorsSettings
from services.monitoring.detectors.bootstrap import NAME, build

if __name__ == "__main__":
    sys.exit(serve(NAME, DetectorsSettings(), alone(NAME, build)))
