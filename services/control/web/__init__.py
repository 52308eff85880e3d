"""The web page of the control service and its API: JSON over HTTP, and a stream of events."""
