"""Drift detectors over closed windows. Pure: monitoring alarms with them, and reports repeat their computation."""
