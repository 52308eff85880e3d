"""Lifecycle events: envelope, ids, and reading the event log."""
