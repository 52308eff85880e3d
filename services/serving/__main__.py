"""`python -m services.serving`: the agent that runs beside Triton."""

import sys

from driftloop.process.serve import serve
from services.serving.bootstrap import NAME, build
from services.serving.config import ServingSettings

if __name__ == "__main__":
    settings = ServingSettings()
    sys.exit(serve(NAME, settings, lambda stop: build(settings, stop)))
