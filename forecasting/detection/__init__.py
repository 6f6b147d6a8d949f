"""Detection: what came, or what is coming, against the published distribution, at every node of both trees."""
