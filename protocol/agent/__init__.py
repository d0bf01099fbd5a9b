"""One agent's protocol: steps, cones, rollbacks, effects."""
