"""Starts the agent that runs beside Triton: ``python -m services.serving``."""

import sys

from driftloop.process.serve import serve
from driftloop.runner.alone import alone
from services.serving.bootstrap import agent_name, build
from services.serving.config import ServingSettings

if __name__ == "__main__":
    settings = ServingSettings()
    name = agent_name(settings)
    sys.exit(serve(name, settings, alone(name, build)))
