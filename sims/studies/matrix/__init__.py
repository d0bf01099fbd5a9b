"""The fault matrix: a kill at every point of an effect's life, and what has become of the world outside."""
