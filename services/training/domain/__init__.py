"""Pure rules of training: the retrain controller, the rows of a run, quality and reference histograms."""
