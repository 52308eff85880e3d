"""What a model is: its bundle of files, what a loop's trainer provides, and how its predictions are scored."""
