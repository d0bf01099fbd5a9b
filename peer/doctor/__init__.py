"""Looks for what is wrong with a cluster, or soon will be: a check a line, each with its remedy."""
