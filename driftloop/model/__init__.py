"""A model: its bundle of files, the interface of a loop's trainer, and losses of its scores."""
