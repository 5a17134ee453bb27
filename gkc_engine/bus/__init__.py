"""The bus between centers: a NATS hub, and one leaf node for each center."""
