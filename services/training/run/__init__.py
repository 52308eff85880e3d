"""One training run: a process that reads a spec file and writes a result file.

Two processes run in parallel, because imports take longer than computing. This one imports the trainer's framework and
MLflow, while `services.training.run.frame` imports Feast and joins the training frame.
"""
