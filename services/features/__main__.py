"""``python -m services.features``."""

import sys

sys.modules.setdefault("torch", None)  # type: ignore[arg-type]  # Feast imports it for nothing we use: 7 s, 460 MiB

from driftloop.process import serve  # noqa: E402
from services.features.bootstrap import NAME, build  # noqa: E402
from services.features.config import FeaturesSettings  # noqa: E402

settings = FeaturesSettings()
sys.exit(serve(NAME, settings, lambda stop: build(settings, stop)))
