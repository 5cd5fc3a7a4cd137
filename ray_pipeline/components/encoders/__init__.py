"""Encoders: how a table becomes the matrix of a kind of model."""
