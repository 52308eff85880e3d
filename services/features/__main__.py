"""``python -m services.features``."""

import sys

from driftloop.process import serve
from services.features.bootstrap import NAME, build
from services.features.config import FeaturesSettings

settings = FeaturesSettings()
sys.exit(serve(NAME, settings, lambda stop: build(settings, stop)))
