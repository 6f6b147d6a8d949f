"""Forecasting and detection for city hotlines: a pure library, tables in and tables out."""
