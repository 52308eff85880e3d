"""The bus: ports and Kafka."""
