"""Calibrators: how scores become probabilities."""
