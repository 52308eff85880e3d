"""The demo: starts the system, replays a loop's past, prints what happens, checks the results and writes a report.

It only starts, replays and reads; all decisions are made by the services.
"""
