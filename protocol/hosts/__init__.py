"""Who is there: gossip, membership, homes of agents."""
