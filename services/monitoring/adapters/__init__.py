"""Adapters of monitoring's ports."""
