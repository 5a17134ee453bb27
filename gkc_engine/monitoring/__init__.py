"""What others watch the engine with: Prometheus' alert rules, Grafana's dashboard. Pure."""
