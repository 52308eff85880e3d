"""``python -m services.evaluation``."""

import sys
from functools import partial

from driftloop.process.serve import serve
from driftloop.process.settings import Settings
from services.evaluation.bootstrap import NAME, build

if __name__ == "__main__":
    settings = Settings()
    sys.exit(serve(NAME, settings, partial(build, settings)))
