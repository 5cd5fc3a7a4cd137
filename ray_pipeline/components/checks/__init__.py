"""Checks: what may be wrong with the data."""
