"""Data science around the library: tracked training runs, the model registry, recipes and benchmarks."""
