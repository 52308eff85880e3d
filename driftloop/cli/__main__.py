"""``python -m driftloop.cli``."""

from driftloop.cli import main

main()
