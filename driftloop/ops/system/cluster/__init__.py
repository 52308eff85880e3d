"""A cluster on one machine: three Kafka nodes, PostgreSQL, Redis Cluster, an S3 server, two of each service."""
