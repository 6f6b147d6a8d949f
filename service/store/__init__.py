"""All SQL of the service: one module a noun, every function takes a connection and returns plain values or frames."""
