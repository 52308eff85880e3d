"""What made the schema of a database what it is, oldest first."""
