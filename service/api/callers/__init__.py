"""Who asks, and how much he may ask for."""
