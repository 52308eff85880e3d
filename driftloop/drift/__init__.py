"""Detectors of drift over closed windows. Pure: monitoring alarms by them, a report tells again what they read."""
