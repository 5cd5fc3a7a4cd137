"""Calibrators, one file each: what turns raw scores into probabilities that mean what they say."""
