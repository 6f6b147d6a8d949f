"""What is coming, from the set that is published."""
