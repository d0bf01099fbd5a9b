"""Adapters to external systems: tools for databases, HTTP services, files, queues and mail."""
