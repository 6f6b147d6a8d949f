"""Connectors: what is pulled by itself from elsewhere, on a schedule or once by `weisu pull NAME`."""
