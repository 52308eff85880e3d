"""Lifecycle events: their envelope, their ids, and how to read the log that holds them."""
