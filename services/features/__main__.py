"""``python -m services.features``."""

import sys

from driftloop import light_feast

light_feast.load()

from driftloop.process import serve  # noqa: E402
from services.features.bootstrap import NAME, build  # noqa: E402
from services.features.config import FeaturesSettings  # noqa: E402

settings = FeaturesSettings()
sys.exit(serve(NAME, settings, lambda stop: build(settings, stop)))
