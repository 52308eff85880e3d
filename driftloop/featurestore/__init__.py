"""The shared stores of features and events: Feast's online and offline store, and the Delta tables of the lake."""
