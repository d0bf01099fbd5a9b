"""How news spreads among hosts, and what it costs."""
