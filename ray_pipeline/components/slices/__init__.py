"""Slices: how rows are grouped."""
