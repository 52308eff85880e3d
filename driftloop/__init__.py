"""The shared package: contracts, bus, handler runner, configuration, telemetry, loops, command line.

It imports no service.
"""

__version__ = "0.1.0"
