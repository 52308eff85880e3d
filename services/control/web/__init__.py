"""The web page of the control service, and what it asks: JSON over HTTP, and a stream of what happens."""
