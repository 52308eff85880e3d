"""``python -m services.monitoring.detectors``."""

import sys
from functools import partial

from driftloop.process.serve import serve
from services.monitoring.config import DetectorsSettings
from services.monitoring.detectors.bootstrap import NAME, build

if __name__ == "__main__":
    settings = DetectorsSettings()
    sys.exit(serve(NAME, settings, partial(build, settings)))
