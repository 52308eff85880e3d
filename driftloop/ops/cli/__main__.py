"""``python -m driftloop.ops.cli``."""

from driftloop.ops.cli import main

main()
