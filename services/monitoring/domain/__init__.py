"""Pure rules of monitoring: the outcome join, windows and histograms."""
