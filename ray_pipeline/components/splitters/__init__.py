"""Splitters: which part a row belongs to."""
