"""What lies outside the log: bulky values, keys, addresses."""
