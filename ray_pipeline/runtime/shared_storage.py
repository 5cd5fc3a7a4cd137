"""Checks before anything is read that every node of the cluster sees the run's folder."""
