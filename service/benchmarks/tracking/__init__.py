"""What MLflow costs a night: seconds, runs and bytes, with a store that is well, dead, silent, slow or full."""
