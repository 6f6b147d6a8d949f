"""Benchmarks: each one command, each prints one table and stores it with its date."""
