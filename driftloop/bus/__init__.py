"""The bus: ports, an in-memory backend for tests and Kafka."""
