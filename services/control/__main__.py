"""Starts the control service: ``python -m services.control``."""

import sys

from driftloop.process.serve import serve
from driftloop.runner.alone import alone
from services.control.adapters.reader import NAME
from services.control.bootstrap import build
from services.control.config import ControlSettings

if __name__ == "__main__":
    sys.exit(serve(NAME, ControlSettings(), alone(NAME, build, answers_requests=True)))
