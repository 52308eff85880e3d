"""Starts the evaluation service: ``python -m services.evaluation``."""

import sys

from driftloop.process.serve import serve
from driftloop.process.settings import Settings
from driftloop.runner.alone import alone
from services.evaluation.bootstrap import NAME, build

if __name__ == "__main__":
    sys.exit(serve(NAME, Settings(), alone(NAME, build)))
