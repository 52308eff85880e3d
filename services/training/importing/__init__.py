"""Imports of models trained elsewhere: read, check, run, and convert to a bundle's graph. Does not load torch."""
