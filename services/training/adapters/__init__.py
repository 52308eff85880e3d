"""What stands behind the ports: SQL, and subprocesses."""
