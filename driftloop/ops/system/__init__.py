"""The whole system on one machine: its processes, and how they are started, watched and stopped."""
