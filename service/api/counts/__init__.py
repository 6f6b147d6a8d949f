"""What came in, and the tickets behind it."""
