"""A loop's definition: what its author writes, parsed and checked."""

from driftloop.loop.definition import LoopDefinition, to_ms
from driftloop.loop.load import Loop, load_loop, load_loops

__all__ = ["Loop", "LoopDefinition", "load_loop", "load_loops", "to_ms"]
