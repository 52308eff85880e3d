"""``python -m services.features``."""

import sys

from driftloop.featurestore import feast_import

feast_import.load()

from driftloop.process.serve import serve  # noqa: E402
from services.features.bootstrap import NAME, build  # noqa: E402
from services.features.config import FeaturesSettings  # noqa: E402

settings = FeaturesSettings()
sys.exit(serve(NAME, settings, lambda stop: build(settings, stop)))
