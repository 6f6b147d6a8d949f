"""The HTTP API. It only reads and writes the store: no model is loaded and nothing heavy runs in its workers."""
