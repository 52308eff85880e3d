"""What lifecycle events say about loops, releases and who was live: pure functions of a set of events.

Everything here is told by event ids, epochs and times, never by the order in which topics happened to be read, so that
a read model which is made again says the same.
"""
