"""Read model: `loop_history` folds the lifecycle events of a loop once; the other modules query that history. Pure.

Ids, epochs and times decide every answer, never the order in which topics were read: a rebuilt read model is equal.
"""
