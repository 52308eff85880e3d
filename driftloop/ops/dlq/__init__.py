"""Dead letters, as people meet them: listed, decoded, and sent again once.

The dead-letter topic is its own ledger. Before a letter's bytes are sent again a record in the same topic says so, and
another once that was acknowledged; so a replay that died in between is told from one that was never begun.
"""

from driftloop.ops.dlq.dead_letter import DeadLetter, Replay
from driftloop.ops.dlq.read import read_dead_letters
from driftloop.ops.dlq.replay import Replayed, replay

__all__ = ["DeadLetter", "Replay", "Replayed", "read_dead_letters", "replay"]
