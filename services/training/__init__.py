"""Training: when to retrain, and the runs."""
