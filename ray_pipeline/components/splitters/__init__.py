"""Splitters: which part (train, validation or test) a row belongs to."""
