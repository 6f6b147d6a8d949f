"""Reports: what a period looked like, derived from what is stored."""
