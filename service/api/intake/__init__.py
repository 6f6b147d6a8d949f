"""What is sent to the service."""
