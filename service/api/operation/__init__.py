"""How the service itself does, and how good what it said was."""
