"""Decides when to retrain, and runs training."""
