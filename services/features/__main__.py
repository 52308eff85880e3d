"""Starts the features service: ``python -m services.features``."""

import sys

from driftloop.featurestore import feast_import

feast_import.load()

from driftloop.process.serve import serve  # noqa: E402
from driftloop.runner.alone import alone  # noqa: E402
from services.features.bootstrap import NAME, build  # noqa: E402
from services.features.config import FeaturesSettings  # noqa: E402

sys.exit(serve(NAME, FeaturesSettings(), alone(NAME, build)))
