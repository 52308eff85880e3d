"""One training run: a process of its own, told what to do by a spec file, ending with a result file.

Two processes work side by side, since importing costs more than computing: this one imports the trainer's framework and
MLflow while `services.training.run.frame` imports Feast and joins the training frame.
"""
