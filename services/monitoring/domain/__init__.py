"""Pure rules of monitoring: the outcome join, windows, histograms and detectors."""
