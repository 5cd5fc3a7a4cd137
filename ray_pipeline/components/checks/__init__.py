"""Checks: each finds one thing that may be wrong with the data."""
