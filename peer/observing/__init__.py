"""What operators see of hosts, in the forms of others: Prometheus, Ray's metrics, log lines as JSON."""
