"""Dead letters for operators: listed, decoded, and replayed once.

The dead-letter topic is its own ledger. A record in it announces a replay, and another confirms it after the
acknowledgement; so an interrupted replay is distinguishable from one that never began.
"""

from driftloop.ops.dlq.dead_letter import DeadLetter, Replay
from driftloop.ops.dlq.read import read_dead_letters
from driftloop.ops.dlq.replay import ReplayResult, replay_dead_letters

__all__ = ["DeadLetter", "Replay", "ReplayResult", "read_dead_letters", "replay_dead_letters"]
