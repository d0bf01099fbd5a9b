"""Copies of logs on other hosts: what goes out, what is kept for others, who goes on with a dead host's agents."""
