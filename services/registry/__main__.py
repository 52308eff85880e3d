"""Starts the registry service: ``python -m services.registry``."""

import sys

from driftloop.process.serve import serve
from driftloop.runner.alone import alone
from services.registry.bootstrap import NAME, build
from services.registry.config import RegistrySettings

if __name__ == "__main__":
    sys.exit(serve(NAME, RegistrySettings(), alone(NAME, build)))
