"""What is wrong with a loop, and what running it will bring about, before anything runs.

Each service says by itself what it would refuse (``python -m services.<name>.check``), with the code that it refuses by
when it starts; `ask` puts their answers together.
"""

from driftloop.inspection.findings import Effect, Findings

__all__ = ["Effect", "Findings"]
