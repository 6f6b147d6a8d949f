"""Alerts: what they are, why they stand, what was done about them, and who is told."""
