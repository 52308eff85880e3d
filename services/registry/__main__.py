"""``python -m services.registry``."""

import sys
from functools import partial

from driftloop.process.serve import serve
from services.registry.bootstrap import NAME, build
from services.registry.config import RegistrySettings

if __name__ == "__main__":
    settings = RegistrySettings()
    sys.exit(serve(NAME, settings, partial(build, settings)))
