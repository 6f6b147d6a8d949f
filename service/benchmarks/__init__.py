"""How fast the running system is, and the servers of their own that benchmarks and tests need."""
