"""Slices, one kind each: which rows belong together when a metric is looked at by part of the data."""
