"""Starts the monitoring service: ``python -m services.monitoring``."""

import sys

from driftloop.process.serve import serve
from driftloop.runner.alone import alone
from services.monitoring.bootstrap import NAME, build
from services.monitoring.config import MonitoringSettings

if __name__ == "__main__":
    sys.exit(serve(NAME, MonitoringSettings(), alone(NAME, build)))
