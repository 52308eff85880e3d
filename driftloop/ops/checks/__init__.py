"""Checks from outside: recomputes what the system reported, from the raw topics and the tables.

Imports nothing from the services and shares no code with their engines.
"""
