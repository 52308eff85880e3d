"""Pure rules of training: the retrain controller, the population of a run, quality and reference histograms."""
