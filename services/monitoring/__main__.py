"""``python -m services.monitoring``."""

import sys
from functools import partial

from driftloop.process.serve import serve
from services.monitoring.bootstrap import NAME, build
from services.monitoring.config import MonitoringSettings

if __name__ == "__main__":
    settings = MonitoringSettings()
    sys.exit(serve(NAME, settings, partial(build, settings)))
