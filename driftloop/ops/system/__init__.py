"""The whole system on one machine: which processes it has, how they are started, watched and stopped."""
