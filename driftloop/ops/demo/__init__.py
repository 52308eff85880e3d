"""The demo: starts the system, replays a loop's past, prints what happens, proves it and leaves a report.

It only starts, replays and reads; everything that happens, happens in the services.
"""
