"""Encoders: how a table becomes a matrix for a kind of model."""
