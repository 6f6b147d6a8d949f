"""Areas and categories."""
