"""``python -m services.evaluation``."""

import sys
from functools import partial

from driftloop.process.serve import serve
from services.evaluation.bootstrap import NAME, build
from services.evaluation.config import EvaluationSettings

if __name__ == "__main__":
    settings = EvaluationSettings()
    sys.exit(serve(NAME, settings, partial(build, settings)))
