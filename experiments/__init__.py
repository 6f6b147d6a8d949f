"""Data science around the library: tracked training runs, the model registry, recipes and benchmarks."""

import os

# Read by MLflow when it is imported or first used: no telemetry, and a dead server costs seconds and not minutes.
os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "2")
os.environ.setdefault("MLFLOW_HTTP_REQUEST_TIMEOUT", "10")
os.environ.setdefault("MLFLOW_LOGGING_LEVEL", "WARNING")
