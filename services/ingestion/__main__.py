"""``python -m services.ingestion``."""

import sys
from functools import partial

from driftloop.process.serve import serve
from services.ingestion.bootstrap import NAME, build
from services.ingestion.config import IngestionSettings

if __name__ == "__main__":
    settings = IngestionSettings()
    sys.exit(serve(NAME, settings, partial(build, settings)))
