"""Reports over what happened: numbers as JSON, plots and words as one HTML file. Reads events, decides nothing."""
