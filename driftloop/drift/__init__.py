"""Detectors of drift over closed windows. Pure: monitoring alarms by them, a report says again what they read."""
