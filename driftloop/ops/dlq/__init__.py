"""Dead letters for operators: listed, decoded, and replayed once.

The dead-letter topic is its own ledger. A record in it announces a replay, and another confirms it after the
acknowledgement; so an interrupted replay is distinguishable from one that never began.
"""
