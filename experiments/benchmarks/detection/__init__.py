"""Alerts beside public outbreak detectors: on planted incidents, in the simulated city, on quiet days."""
